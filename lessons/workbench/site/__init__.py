"""The annotated site: every lesson, as it ran, as a page that works offline and without JavaScript.

From a lesson to its page::

    runs.py          an executed lesson kept on disk; says when it has to run again
    cells.py         a lesson's file as cells: prose and code, with their lines
    prose.py         Markdown to HTML               maths.py   LaTeX to MathML, refusing what would come out mangled
    outline.py       what each piece of a code cell is for: an exercise, a step, drawing, imports
    code.py          Python to HTML                 anchors.py names of places in pages, and of pages
    markup.py        HTML that cannot be forgotten to escape; the frame around every page
    lesson_page.py   a lesson's cells beside what its run measured
    exercises.py     an exercise: statement, hints, solution, a wrong answer
    evidence.py      claims, tables, notes and figures of one part
    figures.py       which file of a figure a page shows, and how large

and beside the lessons::

    index_page.py    the first page, by subject       lesson_map.py  which lesson needs which, as a drawing
    errata_page.py   all errata, by source            api.py, formula.py  a page for each public function
    search.py        titles and headings to find      assets/        a style sheet, small scripts, a font for formulas

    build.py         all of it into a folder          command.py, server.py, watch.py   `minigrad site`

Pygments, markdown-it-py and latex2mathml are the extra ``site``; nothing else of minigrad imports them.
"""
