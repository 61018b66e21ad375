"""Headings as the questions that they answer."""

from __future__ import annotations

import random
import re

FORMS = {
    "en": (
        "how do I use {}?", "what is {}?", "what does {} mean?", "where do I find {}?",
        "can you explain {}?", "how does {} work?", "tell me about {}", "I need help with {}",
    ),
    "de": ("was ist {}?", "wie funktioniert {}?", "wo finde ich {}?", "wie verwende ich {}?",
           "was bedeutet {}?"),
    "fr": ("qu'est-ce que {} ?", "comment fonctionne {} ?", "où se trouve {} ?",
           "comment utiliser {} ?", "que signifie {} ?"),
    "es": ("¿qué es {}?", "¿cómo funciona {}?", "¿dónde está {}?", "¿cómo se usa {}?"),
    "it": ("che cos'è {}?", "come funziona {}?", "dove si trova {}?", "come si usa {}?"),
    "pt": ("o que é {}?", "como funciona {}?", "onde está {}?", "como se usa {}?"),
    "ru": ("что такое {}?", "как работает {}?", "где находится {}?", "как использовать {}?"),
    "ja": ("{}とは何ですか。", "{}の使い方を教えてください。", "{}はどこにありますか。",
           "{}の方法は?"),
    "zh": ("什么是{}?", "如何使用{}?", "{}在哪里?", "怎么{}?"),
    "ko": ("{}(이)란 무엇입니까?", "{} 사용 방법은?", "{}은(는) 어디에 있습니까?"),
}  # fmt: skip
"""Questions for a heading, by language."""

_GERUND = re.compile(r"^([A-Z][a-z]+)ing\b\s*(.*)$")
_TO_DO = ("how do I {}?", "how can I {}?", "how to {}", "what is the way to {}?", "I want to {}")
_WITH_E = re.compile(r"(at|ang|ag|ov|iz|ys|as|us|os|it|ur|ir|od|in|uc|ac|ov|v|id|ad|rg|c)$")
_KEEPS = re.compile(
    r"(print|edit|insert|format|visit|add|ss|ll|peat|treat|port|click|import|load|end)$"
)
_DOUBLED = re.compile(r"([bdgmnprt])\1$")


def as_question(heading: str, lang: str, source: random.Random) -> str:
    """Return a question that a heading answers; English gerunds become verbs."""
    gerund = _GERUND.match(heading) if lang == "en" else None
    if gerund and source.random() < 0.8:
        return source.choice(_TO_DO).format(f"{_verb(gerund[1].lower())} {gerund[2]}".strip())
    subject = (
        heading[:1].lower() + heading[1:] if lang in {"en", "fr", "es", "it", "pt"} else heading
    )
    return source.choice(FORMS[lang]).format(subject)


def _verb(stem: str) -> str:
    """Return the verb of a gerund without its ending; a rule of thumb."""
    if _DOUBLED.search(stem) and len(stem) > 3:
        return stem[:-1]
    return f"{stem}e" if _WITH_E.search(stem) and not _KEEPS.search(stem) else stem
