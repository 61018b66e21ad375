"""Why a document answers a query: the matching tokens and their scores, also as a picture."""

from m3kit.explain.explanation import Explanation, explain
from m3kit.explain.page import explanation_page
from m3kit.explain.values import Alignment, Match, Tokens

__all__ = ["Alignment", "Explanation", "Match", "Tokens", "explain", "explanation_page"]
