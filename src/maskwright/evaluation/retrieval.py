"""Retrieval: do the vectors of queries lie near those of the documents that answer them? (dense, zero-shot)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.retrieval import (
    retrieval_normalized_dcg,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from maskwright.errors import RecipeError
from maskwright.evaluation import trec
from maskwright.evaluation.intervals import over_items
from maskwright.evaluation.represent import Embedder, check_kinds, whitening
from maskwright.evaluation.results import Result, Table
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.suite import Suite
from maskwright.evaluation.tools import Tools

_BLOCK = 256  # queries scored against all documents at once


class Retrieval(Suite):
    """nDCG, recall and reciprocal rank over the queries that have a relevant document in the collection.

    documents, queries, judgements: files; see `trec`. fields, query_fields: what is read of each. numbered: judgements
    count queries 1, 2, 3 ... in the order of their file. score: cosine | dot. whiten: fit a whitening on the documents.
    k: for nDCG@k; recall: the ks of recall. Grades below 0 count as 0; gains are the grades themselves.
    """

    name = "retrieval"

    def __init__(
        self,
        documents: str | None,
        queries: str | None,
        judgements: str | None,
        fields: Sequence[str] = ("title", "text"),
        query_fields: Sequence[str] = ("title", "text"),
        numbered: bool = False,
        pooling: str = "mean",
        layers: str | int = "last",
        whiten: bool = False,
        score: str = "cosine",
        k: int = 10,
        recall: Sequence[int] = (10, 100),
    ) -> None:
        (self.kind,) = check_kinds([pooling], [layers])
        for name, file in (("documents", documents), ("queries", queries), ("judgements", judgements)):
            if not file:
                raise RecipeError(f"evaluation.{name} is not set; name a file.")
        if score not in ("cosine", "dot"):
            raise RecipeError(f"evaluation.score is {score!r}; choose cosine or dot.")
        for key, number in (("k", k), *(("recall", one) for one in recall)):
            if number < 1:
                raise RecipeError(f"evaluation.{key} is {number}; give a number of documents from 1 up.")
        self.documents, self.queries, self.judgements = documents, queries, judgements
        self.fields, self.query_fields, self.numbered = fields, query_fields, numbered
        self.whiten, self.score, self.k, self.recall = whiten, score, k, list(recall)

    def check(self, subject: Subject) -> None:
        for key, file in (("documents", self.documents), ("queries", self.queries), ("judgements", self.judgements)):
            trec.there(file, key)

    def run(self, subject: Subject, tools: Tools) -> Result:
        documents = trec.documents(self.documents, self.fields)
        queries = trec.queries(self.queries, self.query_fields, self.numbered)
        judged = trec.judgements(self.judgements)
        place = {name: number for number, name in enumerate(documents)}
        grades = {
            query: {place[name]: grade for name, grade in found.items() if name in place and grade > 0}
            for query, found in judged.items()
            if query in queries
        }
        asked = [query for query in queries if grades.get(query)]
        if not asked:
            raise RecipeError(
                "evaluation.judgements: no query has a relevant document among these; check that ids agree, or set "
                "evaluation.numbered=true when the judgements count the queries."
            )
        embed = Embedder(subject, tools)
        document_ND = embed(list(documents.values()), [self.kind], "documents")[self.kind].astype(np.float64)
        query_QD = embed([queries[name] for name in asked], [self.kind], "queries")[self.kind].astype(np.float64)
        if self.whiten:
            mean, matrix = whitening(document_ND)
            document_ND, query_QD = (document_ND - mean) @ matrix, (query_QD - mean) @ matrix
        if self.score == "cosine":
            document_ND, query_QD = _unit(document_ND), _unit(query_QD)
        found = self._measured(query_QD, document_ND, [grades[name] for name in asked])
        figures: dict[str, Any] = {}
        rows = []
        for name, values in found.items():
            interval = over_items(values, (0.0, 1.0))
            figures |= interval.figures(name)
            rows.append([name, *interval])
        title = f"{len(asked):,} queries over {len(documents):,} documents"
        facts = {
            "queries": len(asked),
            "documents": len(documents),
            "truncated": embed.truncated,
            "skipped": {"query without a relevant document": len(queries) - len(asked)},
            "vectors": {"pooling": self.kind[0], "layers": self.kind[1], "whitened": self.whiten, "score": self.score},
        }
        return Result(figures, [Table(title, ("metric", "mean", "low", "high"), rows)], facts)

    def _measured(
        self, query_QD: np.ndarray, document_ND: np.ndarray, grades: list[dict[int, int]]
    ) -> dict[str, list[float]]:
        names = [f"ndcg@{self.k}", "mrr", *(f"recall@{k}" for k in self.recall)]
        found: dict[str, list[float]] = {name: [] for name in names}
        for first in range(0, len(query_QD), _BLOCK):
            score_QN = torch.from_numpy(query_QD[first : first + _BLOCK] @ document_ND.T)
            for score_N, grade in zip(score_QN, grades[first : first + _BLOCK], strict=True):
                target_N = torch.zeros(len(document_ND), dtype=torch.int64)
                target_N[list(grade)] = torch.tensor(list(grade.values()))
                values = [
                    retrieval_normalized_dcg(score_N, target_N, top_k=min(self.k, len(target_N))),
                    retrieval_reciprocal_rank(score_N, target_N > 0),
                    *(retrieval_recall(score_N, target_N > 0, top_k=min(k, len(target_N))) for k in self.recall),
                ]
                for name, value in zip(names, values, strict=True):
                    found[name].append(float(value))
        return found


def _unit(vectors_ND: np.ndarray) -> np.ndarray:
    norm_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return vectors_ND / np.where(norm_N1 > 0, norm_N1, 1)
