"""The loop: the bare command ``minigrad``, which watches the homework and answers every save.

`state` is what it remembers, `stubs` what it writes into the learner's files, `watch` notices a save, `checks` and
`consequence` work in the background (`jobs`), `terminal` shows and reads keys, and `session` ties them together.
"""
