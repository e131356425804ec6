"""Any other exception of the user's own code."""

from __future__ import annotations

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"user_error": "The user's code raised an exception."}

#: Exception → what usually helps. Short, and only where it says more than the exception does.
_HINTS = {
    "KeyError": "There is no such key or column. What there is: print(list(df.columns)), print(d.keys()).",
    "IndexError": "Something is shorter than expected. Print its length just before that line.",
    "NameError": "Nothing has that name there: misspelt, not imported, or left behind in a notebook.",
    "UnboundLocalError": "The function assigns that name on some paths only: give it a value at its top.",
    "RecursionError": "A function calls itself without end, or deeper than sys.setrecursionlimit allows.",
    "ZeroDivisionError": "Was something empty that should not be? Print what is divided by.",
    "AssertionError": "An assert of the script did not hold.",
    "NotFittedError": "Call fit before predict, on the same object: a clone() is not fitted.",
    "UnicodeDecodeError": "The file is in another encoding: try encoding='latin-1' or 'utf-8-sig'.",
    "UnicodeEncodeError": "Say the encoding when writing: open(path, 'w', encoding='utf-8').",
    "JSONDecodeError": "The file is no JSON, or empty. Print its first characters.",
    "ParserError": "Rows differ in their number of columns: another separator (sep=';')? Open quotes?",
    "EmptyDataError": "The file is empty: was it written, or is it a Git LFS pointer?",
    "EOFError": "input() has nobody to answer: a run has no keyboard. Take arguments instead.",
    "KeyboardInterrupt": "Something interrupted it as Ctrl-C does.",
    "NotImplementedError": "A method that has to be written is not.",
    "BrokenPipeError": "What it wrote to ended first.",
    "LinAlgError": "A matrix is singular or not positive definite: are there constant or duplicate columns?",
    "InvalidParameterError": "The message says which values the parameter takes in the installed version.",
    "FileExistsError": "Use os.makedirs(path, exist_ok=True), or another name.",
    "IsADirectoryError": "The path is a folder: name a file in it.",
    "CalledProcessError": "A program that the script started failed: its own output stands above in the log.",
    "NotADirectoryError": "A part of the path is a file.",
}  # fmt: skip


def recognise(case: Case, trace: Trace) -> Finding:
    """Always something: of the families of exceptions this one is asked last."""
    place = case.place(trace)
    where = f"It was raised at {place}." if place else ""
    hint = _HINTS.get(trace.short_name) or f"{where} The whole log: fitq runs logs {case.run.id}".strip()
    packages = ("scikit-learn",) if trace.short_name == "InvalidParameterError" else ()
    return Finding("user_error", trace.sentence[:500], hint, packages=packages)
