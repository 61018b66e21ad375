"""
How well it finds: test collections, measures, and what each way of searching costs.

    from m3kit.evaluation import evaluate, read_folder

    report = evaluate(encoder, read_folder("my-collection"), folder="results")
    print(report.table())

Needs `pip install 'm3kit[eval]'`. `docs/evaluate.md` is the guide; `m3kit.evaluation.mteb` lets
MTEB's own tasks run on m3kit.
"""

from m3kit.evaluation.bm25 import bm25_baselines
from m3kit.evaluation.dataset import Dataset, DatasetError, EvaluationError, Qrels, Run
from m3kit.evaluation.evaluation import evaluate
from m3kit.evaluation.exact import ExactSearch
from m3kit.evaluation.folders import LAYOUTS, Layout, is_judged, read_folder, read_judged
from m3kit.evaluation.hub import load_dataset
from m3kit.evaluation.measures import Comparison, compare, mean, overlap, per_query
from m3kit.evaluation.modes import MODES, PAPER, Mode
from m3kit.evaluation.policy import Issue, Policy
from m3kit.evaluation.report import Report, Row, comparison_table, plot
from m3kit.evaluation.trec import read_qrels, read_run, write_qrels, write_run

__all__ = [
    "LAYOUTS",
    "MODES",
    "PAPER",
    "Comparison",
    "Dataset",
    "DatasetError",
    "EvaluationError",
    "ExactSearch",
    "Issue",
    "Layout",
    "Mode",
    "Policy",
    "Qrels",
    "Report",
    "Row",
    "Run",
    "bm25_baselines",
    "compare",
    "comparison_table",
    "evaluate",
    "is_judged",
    "load_dataset",
    "mean",
    "overlap",
    "per_query",
    "plot",
    "read_folder",
    "read_judged",
    "read_qrels",
    "read_run",
    "write_qrels",
    "write_run",
]
