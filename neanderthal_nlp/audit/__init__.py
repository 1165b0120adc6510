"""What the numbers mean: the controls that a reproduction of the article is held against."""

from neanderthal_nlp.audit.leaks import LeakReport, RuleAccuracy, leak_report

__all__ = ["LeakReport", "RuleAccuracy", "leak_report"]
