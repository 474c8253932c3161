"""What the answers say: shares with their intervals, a sign test, agreement, confusions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from scipy.stats import binomtest

from motion_lightning.judge.answers import ASKED, Sheet

OPTIONS = 8
TIE = "cannot tell"


def verdicts(keys: Mapping[str, dict], sheets: Sequence[Sheet], notes: Sequence[str]) -> dict[str, Any]:
    """All figures, JSON-able; those of a page only where somebody answered it."""
    judged = {"pairs": judge_pairs, "choose": judge_choices}
    found: dict[str, Any] = {"interval": "Wilson, 95 %", "notes": [*notes]}
    for kind, key in keys.items():
        own = [sheet for sheet in sheets if sheet.kind == kind]
        if own:
            facts = {name: value for name, value in key.items() if name not in ("items", "kind")}
            found[kind] = {
                "of": facts,
                "viewers": [viewer(s, len(key["items"])) for s in own],
                **judged[kind](key, own),
            }
    return found


def share(count: int, of: int) -> dict[str, Any]:
    """A share with its interval by Wilson; None for one of nothing."""
    if not of:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    interval = binomtest(count, of).proportion_ci(0.95, method="wilson")
    return {"count": count, "of": of, "share": count / of, "low": float(interval.low), "high": float(interval.high)}


def sign_test(a: int, b: int) -> float | None:
    """p of so uneven counts or worse where both are as likely; None without any."""
    return float(binomtest(a, a + b).pvalue) if a + b else None


def viewer(sheet: Sheet, items: int) -> dict[str, Any]:
    """Who answered, how much, and how long an item took."""
    seconds = [max(entry["seconds"].values()) for entry in sheet.answers.values() if entry["seconds"]]
    done = sum(all(name in entry for name in ASKED[sheet.kind]) for entry in sheet.answers.values())
    name = sheet.viewer or f"unnamed {sheet.session[:8]}"
    return {
        "viewer": name, "file": str(sheet.file), "answered": done, "of": items,
        "seconds an item, median": median(seconds) if seconds else None,
    }  # fmt: skip


# --------------------------------------------------------------------------------------------- pairs


def judge_pairs(key: dict, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Each question by itself. ``by prompt`` counts every prompt once, for whom most of its viewers prefer: answers of
    several viewers to one pair are not independent, as the interval over answers takes them to be."""
    names = [name for name in key["sources"] if name in (key["items"][0]["left"], key["items"][0]["right"])]
    return {
        "runs": names,
        "questions": {question: preference(question, names, key, sheets) for question in ASKED["pairs"]},
    }


def preference(question: str, names: list[str], key: dict, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Figures of one question."""
    a, b = names
    votes = [  # of each viewer, item → whom they prefer
        {item: key["items"][item].get(entry[question], TIE) for item, entry in s.answers.items() if question in entry}
        for s in sheets
    ]
    counts = Counter(vote for own in votes for vote in own.values())
    decided, every = counts[a] + counts[b], counts.total()
    sides = Counter(entry[question] for s in sheets for entry in s.answers.values() if question in entry)
    prompts = []
    for item, of in enumerate(key["items"]):
        own = Counter(vote[item] for vote in votes if item in vote)
        prompts.append({"prompt": of["prompt"], **{name: own[name] for name in (*names, TIE)}})
    ahead = [sum(row[x] > row[y] for row in prompts) for x, y in ((a, b), (b, a))]
    return {
        "counts": {name: counts[name] for name in (*names, TIE)},
        "without ties": {name: share(counts[name], decided) for name in names},
        "with ties": {name: share(counts[name], every) for name in (*names, TIE)},
        "sign test p": sign_test(counts[a], counts[b]),
        "by prompt": {
            "counts": {
                a: ahead[0],
                b: ahead[1],
                "even": sum(any(r[n] for n in (a, b, TIE)) for r in prompts) - sum(ahead),
            },
            "share": {name: share(count, sum(ahead)) for name, count in zip(names, ahead, strict=True)},
            "sign test p": sign_test(*ahead),
        },
        "left": share(sides["left"], sides["left"] + sides["right"]),
        "agreement": agreement(votes),
        "prompts": prompts,
    }


def agreement(votes: Sequence[Mapping[int, str]]) -> dict[str, Any] | None:
    """How often two viewers say the same of an item, and the mean of Cohen's kappa over pairs of them; None for one."""
    from sklearn.metrics import cohen_kappa_score

    same = of = 0
    kappas = []
    for one, other in combinations(votes, 2):
        both = [(one[item], other[item]) for item in one if item in other]
        same, of = same + sum(x == y for x, y in both), of + len(both)
        if len({vote for pair in both for vote in pair}) > 1:  # with a single answer chance agrees as well
            kappas.append(float(cohen_kappa_score(*zip(*both, strict=True))))
    if not of:
        return None
    return {"same": same, "of": of, "share": same / of, "kappa": sum(kappas) / len(kappas) if kappas else None}


# -------------------------------------------------------------------------------------------- choices


def judge_choices(key: dict, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Accuracy of each source; which sentence was taken for which."""
    items = key["items"]
    chosen = [{i: entry["chosen"] for i, entry in s.answers.items() if "chosen" in entry} for s in sheets]
    accuracy, confusions = {}, Counter()
    for source in key["sources"]:
        own = [(items[i], answer) for votes in chosen for i, answer in votes.items() if items[i]["source"] == source]
        right = sum(answer == item["right"] for item, answer in own)
        better = binomtest(right, len(own), 1 / OPTIONS, alternative="greater").pvalue if own else None
        accuracy[source] = share(right, len(own)) | {"p of chance": None if better is None else float(better)}
        confusions.update(
            (source, item["prompt"], item["options"][int(answer) - 1])
            for item, answer in own
            if answer != item["right"]
        )
    names = ("source", "prompt", "taken for", "times")
    return {
        "chance": 1 / OPTIONS,
        "accuracy": accuracy,
        "agreement": agreement(chosen),
        "confusions": [dict(zip(names, (*what, times), strict=True)) for what, times in confusions.most_common()],
    }
