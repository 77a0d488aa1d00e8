"""The annotated site: every lesson, as it ran, as a page that works offline and without JavaScript.

From a lesson to its page::

    runs.py          an executed lesson kept on disk; says when it has to run again
    cells.py         a lesson's file as cells: prose and code, with their lines
    prose.py         Markdown to HTML               maths/     LaTeX to MathML, refusing what would come out mangled
    outline.py       what each piece of a code cell is for: an exercise, a step, drawing, imports
    code.py          Python to HTML                 anchors.py names of places in pages, and of pages
    markup.py        HTML that cannot be forgotten to escape; the frame around every page
    lesson_page.py   a lesson's cells beside what its run measured
    exercises.py     an exercise: statement, hints, solution, a wrong answer
    evidence.py      claims, tables, notes and figures of one part
    figures.py       which file of a figure a page shows, and how large

and beside the lessons::

    index_page.py    the first page, by subject       lesson_map.py  which lesson needs which, as a drawing
    errata_page.py   all errata, by source            search.py      titles and headings to find
    assets/          a style sheet, small scripts, a font for formulas

A page for each public function, in api.py, from::

    api_catalogue.py what is public                   torch_twin.py  its twin, and where PyTorch explains it
    api_code.py      signature and source             docstrings.py  Args, Returns and Raises as lists
    api_calls.py     what a function is built on      engine_code.py syntax trees of the engine's code
    api_kernels.py   which kernels it calls           api_uses.py    where lessons use it
    api_gradient.py  the vjp, as code and as formula:
        formula.py        from a vjp's code to a tree: formula_scope.py (what names mean), formula_cases.py (choices)
        formula_tree.py   the tree, which can be computed   formula_latex.py  and printed

All of it together::

    build.py         makes everything, then writes it folder.py      the site's folder: only what is ours is replaced
    remembered.py    pieces that are slow to make     fingerprint.py, execute.py   when to run, and the run
    command.py, server.py, watch.py, places.py        `minigrad site`, and where the terminal says to look

Pygments, markdown-it-py and latex2mathml are the extra ``site``; nothing else of minigrad imports them.
"""
