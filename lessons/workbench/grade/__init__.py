"""``minigrad grade``: the homework of a whole class, each exercise in a confined process of its own.

`students` finds who handed in what, `batch` has it judged (`judge`: one process for each job, and below it a fresh
child for each exercise), `report` keeps the account as JSON and CSV, `summary` and `page` say how the class failed.
"""
