"""One sitting at the homework: keys and saves come in, verdicts and hints go out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from lessons.anatomy import Outcome
from lessons.anatomy.text import wrapped
from lessons.workbench import progress, screen
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import hints, stubs, views, whatif
from lessons.workbench.loop.checks import Checked, Checker, diagnosis_of
from lessons.workbench.loop.course import Course, Task
from lessons.workbench.loop.jobs import Bell, Job
from lessons.workbench.loop.state import State, Store, now
from lessons.workbench.loop.terminal import END_OF_INPUT, Terminal
from lessons.workbench.loop.watch import EVERY, Look, Watch

SCHEMA = 1  # version of the JSON events
NO_ATTEMPT = ("not started", "missing", "broken check", "no sandbox")  # outcomes that are no try at a solution
SLOW = 0.4  # seconds after which the footer says that a check is still running


class Session:
    """The loop without its terminal: where we are, what is under way, and what each key does.

    ``say`` is given the lines of what happened; ``as_json`` prints one JSON object a line instead.
    """

    def __init__(
        self, course: Course, store: Store, bell: Bell, say: Callable[[Sequence[str]], None], as_json: bool = False
    ) -> None:
        self.course = course
        self.store = store
        self.bell = bell
        self.checker = Checker(bell)
        self.as_json = as_json
        self.style = screen.style()
        self.fancy = progress.fancy(sys.stdout)
        self.keys_work = True
        self.has_footer = False
        self.done = False
        self.task = course.tasks[0]
        self.watch: Watch | None = None
        self.outcome: Outcome | None = None  # of the last check of this task
        self.job: Job | None = None
        self._say = say
        self._state = State()  # as it was last written, for the footer
        self._doing = ""
        self._since = 0.0
        self._asked_to_reset = False
        self.pressed = False  # whether there was any key at all

    # ---- where we are

    def begin(self, name: str | None = None) -> None:
        """Go to the exercise ``name``, or where we were, or to the first that is open.  Raises `UsageError`."""
        state = self.store.load()
        task = self.course.find(state.current)
        if name is not None:
            task = self.course.named(name, state)
        elif task is None or state.of(task.key).passed:
            task = self.course.next_open(state, task) or task or self.course.tasks[-1]
        count = len(self.course.tasks)
        done = self.course.passed(state)
        said = f"minigrad: homework in {self.course.folder}, {done} of {count} exercises passed."
        self._tell("start", [self.style.bold(said)], homework=str(self.course.folder), passed=done, exercises=count)
        self._go_to(task)

    def _go_to(self, task: Task) -> None:
        new_lesson = self.watch is None or task.lesson is not self.task.lesson
        self.task, self.outcome = task, None
        with self.store.change() as state:
            done = stubs.install(task.lesson, task.path, state)
            state.current = task.key
            self._state = state
        self._show_notices(done)
        lines = [""]
        if new_lesson:
            source = task.lesson.source
            lines += [self.style.bold(task.lesson.title), f"  rebuilds {source.title} ({source.author}, {source.year})"]
        lines.append(f"  {task.exercise.name}: {views.place(task)}")
        self._tell("exercise", lines, lesson=task.lesson.name, exercise=task.exercise.name, file=str(task.path))
        self.watch = Watch(task.path)
        self.check()

    # ---- what comes in

    def press(self, key: str) -> None:
        """Do what a key stands for; others, such as Enter, do nothing."""
        action = self._actions().get(key.lower())
        if action is None:
            return
        self.pressed = True
        asked, self._asked_to_reset = self._asked_to_reset, False
        if key.lower() == "x":
            self._asked_to_reset = not asked
        action()

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "n": self.next,
            "h": self.hint,
            "w": self.what_if,
            "d": self.diff,
            "l": self.show_list,
            "x": self.reset,
            "r": self.check,
            "q": self.quit,
            "?": self.help,
        }

    def look(self) -> None:
        """Check again if the file was saved."""
        found: Look | None = None if self.watch is None else self.watch.poll()
        if found is None:
            return
        if found.content is None:
            self.cancel()
            what = f"{found.problem}. Save it again, or press x for a fresh stub."
            self._message(what if self.keys_work else f"{found.problem}.")
            return
        self.check()

    def collect(self) -> None:
        """Show what the work in the background has brought."""
        job = self.job
        if job is None:
            return
        ended = not job.running  # asked first: whatever it posted before its end is read below
        for value in job.posts():
            if isinstance(value, Checked):
                self._judged(value)
            elif isinstance(value, whatif.Step):
                self._doing = f"training, step {value.number}"
            elif isinstance(value, whatif.Trained):
                self._trained(value)
            elif isinstance(value, whatif.Drawn):
                names = ", ".join(str(file) for file in value.files)
                self._tell("figure", [f"  Figure: {names}"], files=[str(file) for file in value.files])
            elif isinstance(value, whatif.Failed):
                self._message(*value.lines)
        if ended and self.job is job:
            self.job = None

    @property
    def pause(self) -> float:
        """Seconds until something is due: a look at the file, or a footer that counts."""
        return EVERY if self.watch is None else self.watch.pause

    def footer(self) -> list[str]:
        """The lines below the log: progress, what is going on, and the keys."""
        doing = f"watching {self.task.path}"
        if self.job is not None:
            elapsed = time.monotonic() - self._since
            doing = self._doing if elapsed > SLOW or self._doing != "checking" else doing
            doing += f", {elapsed:.0f} s" if elapsed > 1 else ""
        return views.footer(self.course, self._state, self.task, doing, self.keys_line(), self.fancy)

    def keys_line(self) -> str:
        mine = self._state.of(self.task.key)
        open_ones = self.course.next_open(self._state, self.task)
        return views.available(
            {
                "n": bool(mine.passed) and open_ones is not None,
                "w": self.task.exercise.consequence is not None,
                "d": bool(mine.passed or mine.revealed),
            }
        )

    # ---- keys

    def check(self) -> None:
        """r, and every save: check the exercise now; a check that is under way is called off."""
        self.cancel()
        self.job = self.checker.check(self.task.lesson, self.task.exercise, self.task.path)
        self._doing, self._since = "checking", time.monotonic()

    def next(self) -> None:
        state = self.store.load()
        if not state.of(self.task.key).passed:
            self._message(f"Not yet: n goes on when {self.task.exercise.name} passes.")
            return
        task = self.course.next_open(state, self.task)
        if task is None:
            self._message("There is no next one: every exercise has passed.")
        else:
            self._go_to(task)

    def hint(self) -> None:
        if self.outcome is not None and self.outcome.passed:
            self._message("It passes; there is nothing to hint at.")
            return
        diagnosis = None if self.outcome is None else diagnosis_of(self.outcome)
        with self.store.change() as state:
            rung, after = hints.take(self.task.exercise, diagnosis, state.of(self.task.key))
            self._state = state
        left = {"": "", "solution": "h again: the solution. It will be remembered that you saw it."}
        more = left.get(after, f"h again: {views.HINT_NAMES.get(after, after)}.")
        lines = views.hint_lines(rung.kind, rung.text, more, self.style, screen.width())
        self._tell("hint", lines, kind=rung.kind, text=rung.text, next=after)

    def what_if(self) -> None:
        if self.task.exercise.consequence is None:
            self._message(f"{self.task.exercise.name} has no training that would show what a bug in it does.")
        elif self.outcome is not None and self.outcome.status in ("not started", "missing"):
            self._message("Write something first: w trains with what you wrote.")
        elif self._doing.startswith("training") and self.job is not None:
            self._message("The training is under way.")
        else:
            self.cancel()
            self._message("Training with yours and with the right one, side by side ...")
            self._doing, self._since = "training", time.monotonic()
            self.job = whatif.train(
                self.task.lesson,
                self.task.exercise,
                self.task.path,
                self.course.folder,
                self.checker.nursery,
                self.bell,
                self.checker.refill,
            )

    def diff(self) -> None:
        mine = self.store.load().of(self.task.key)
        if not (mine.passed or mine.revealed):
            self._message("The diff would show the solution: it comes when yours passes, or after the last hint (h).")
            return
        try:
            lines = stubs.diff(stubs.read(self.task.path), self.task.exercise)
        except OSError as error:
            self._message(f"cannot read {self.task.path}: {error.strerror}")
            return
        shown = views.diff_lines(lines, self.style) or ["  Yours is the solution, letter by letter."]
        self._tell("diff", ["", *shown], lines=lines)

    def show_list(self) -> None:
        self._state = self.store.load()
        rows = [
            {"lesson": task.lesson.name, "exercise": task.exercise.name, **vars(self._state.of(task.key))}
            for task in self.course.tasks
        ]
        exercises = [{key: row[key] for key in row if key not in ("hints", "last")} for row in rows]
        self._tell("list", views.listing(self.course, self._state, self.task, self.style), exercises=exercises)

    def reset(self) -> None:
        """x twice: the stub comes back, after a backup."""
        if self._asked_to_reset and self.task.path.exists():
            self._message(f"x again: {self.task.exercise.name} becomes a stub again, and your file is backed up first.")
            return
        self._asked_to_reset = False
        self._message(*stubs.reset(self.task.lesson, self.task.exercise, self.task.path))

    def quit(self) -> None:
        self.done = True

    def help(self) -> None:
        self._message(*(f"{key}  {text}" for key, text in views.KEYS.items()))

    def cancel(self) -> None:
        """Call off what is under way in the background."""
        if self.job is not None:
            self.job.cancel()
            self.job = None

    def close(self) -> None:
        job = self.job
        self.cancel()
        if job is not None:
            job.join(1.0)  # so that nothing of ours runs while Python shuts down
        self.checker.close()
        self.store.close()

    # ---- what goes out

    def _judged(self, checked: Checked) -> None:
        self.outcome = checked.outcome
        before = self._state.of(self.task.key).passed
        attempts = self.record(checked)
        width = screen.width()
        lines = views.verdict(self.task, checked, attempts, self.style, width)
        lines += views.advice(self.task, checked.outcome.status, self.keys_work)
        if checked.outcome.passed:
            lines += self._what_next(bool(before))
        if self.keys_work and not self.has_footer:
            lines += [f"  keys: {self.keys_line()}"]
        self._tell("verdict", lines, **views.json_verdict(self.task, checked, attempts))

    def _what_next(self, again: bool) -> list[str]:
        task = self.course.next_open(self._state, self.task)
        if task is None:
            count = len(self.course.tasks)
            return [self.style.good(f"  That was the last one: {count} of {count} exercises passed.")]
        said = "It still passes." if again else "Right."
        more = f" n goes on to {task.title}, d compares with the solution." if self.keys_work else ""
        return [f"  {said}{more}"]

    def record(self, checked: Checked) -> int:
        """Write the outcome into the state; returns the number of attempts so far."""
        try:
            mark = stubs.fingerprint(stubs.read(self.task.path))
        except OSError:
            mark = ""
        with self.store.change() as state:
            mine = state.of(self.task.key)
            if checked.outcome.status not in NO_ATTEMPT and mark != mine.last:
                mine.attempts, mine.last = mine.attempts + 1, mark
            if checked.outcome.passed and not mine.passed:
                mine.passed = now()
            self._state = state
        self._show_notices([])
        return mine.attempts

    def _trained(self, trained: whatif.Trained) -> None:
        comparison = trained.comparison
        lines = ["", *whatif.lines(comparison, self.style, screen.width(), self.fancy)]
        self._doing = "drawing the figure"
        self._tell(
            "consequence",
            lines,
            title=comparison.title,
            yours=comparison.yours.losses,
            right=comparison.right.losses,
            trouble=comparison.yours.trouble,
            summary=comparison.summary(),
        )

    def _show_notices(self, done: Sequence[str]) -> None:
        notices, self.store.notices = [*self.store.notices, *done], []
        if notices:
            self._message(*notices)

    def _message(self, *sentences: str) -> None:
        lines = [line for sentence in sentences for line in wrapped(sentence, screen.width())]
        self._tell("message", lines, text="\n".join(sentences))

    def _tell(self, event: str, lines: Sequence[str], /, **data: Any) -> None:
        if self.as_json:
            self._say([json.dumps({"event": event, "schema": SCHEMA, **data}, ensure_ascii=False)])
        else:
            self._say(lines)


def run(session: Session, terminal: Terminal, name: str | None) -> int:
    """Go on until q: the loop itself.  Returns the exit code.  Raises `UsageError` when another loop is at work."""
    owner = session.store.claim()
    if owner:
        raise UsageError(
            f"another minigrad is at work in {session.course.folder} ({owner}): "
            "end it there with q, or work in another folder with --homework DIR"
        )
    session.style, session.keys_work, session.has_footer = terminal.style, terminal.keys_work, terminal.moving
    keys: list[str] = []
    with terminal:
        try:
            session.checker.refill()
            session.begin(name)
            while not session.done:
                terminal.footer(session.footer())
                keys += terminal.wait(session.pause)
                keys = _press(session, terminal, keys)
                session.collect()
                session.look()
        finally:
            session.close()
    return 0


def _press(session: Session, terminal: Terminal, keys: list[str]) -> list[str]:
    """Press the keys; those of a script wait for the check that is under way.  Returns those that still wait."""
    for count, key in enumerate(keys):
        if terminal.scripted and session.job is not None:
            return keys[count:]
        if key != END_OF_INPUT:
            session.press(key)
        elif terminal.scripted and not session.pressed:  # as with < /dev/null: nobody meant to press anything
            session.keys_work = False
        else:
            session.quit()
        if session.done:
            break
    return []


def once(session: Session, name: str | None) -> int:
    """Check the current exercise once.  Returns 0 when it passes and 1 when it does not."""
    session.keys_work = False
    try:
        session.begin(name)
        while session.job is not None:
            session.bell.wait(1.0)
            session.collect()
    finally:
        session.close()
    return 0 if session.outcome is not None and session.outcome.passed else 1
