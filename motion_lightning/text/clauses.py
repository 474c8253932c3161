"""Where the next action starts in a caption whose words have parts of speech."""

import re
from typing import NamedTuple

from motion_lightning.text.verbs import verb_forms, verbs

ABBREVIATIONS = {"approx", "appr", "ca", "cm", "deg", "e", "g", "etc", "i", "incl", "min", "resp", "sec", "vs"}
AND = {"and", "but", "or", "&"}
OPENERS = {"after", "as", "before", "by", "during", "from", "if", "once", "upon", "when", "while", "with"}
INSIDE = {"as", "by", "for", "if", "in", "like", "of", "when", "while", "with", "without"}  # "while waving and …"
CLAUSE = {"as", "how", "if", "like", "that", "what", "when", "where", "which", "while", "who"}
FEW = {"few", "several", "some", "while", "moment", "bit", "short", "brief", "second", "seconds"}
POSSESSIVE = {"his", "her", "its", "their", "my", "your", "our"}
NOMINATIVE = {"he", "she", "they"}
TRAILING = {"also", "directly", "finally", "immediately", "just", "shortly", "soon", "subsequently", "suddenly"}
PARTICLES = {"up", "down", "out", "off", "away"}
BE = {"is", "are", "was", "were", "be", "being", "been", "gets", "get", "getting", "got"}
MOVEMENT = {"exercise", "exercises", "gesture", "gestures", "motion", "motions", "movement", "movements", "position"}
NOUN_PHRASE = {"DET", "PRON", "NUM", "ADJ", "NOUN", "PROPN"}


class Word(NamedTuple):
    text: str  # lower case
    tag: str
    gap: str  # what stands between it and the word before


def sentence_ends(caption: list[Word], i: int) -> bool:
    """Whether a sentence ends before word ``i``."""
    gap, last = caption[i].gap, caption[i - 1].text
    if re.search(r"[!?…\n]", gap):
        return True
    return bool(re.search(r"\.\s", gap)) and last not in ABBREVIATIONS and not (i == 1 and last.isdigit())


class Clauses:
    """One caption on the way to its first action. Words are named by their index."""

    def __init__(self, caption: list[Word]):
        self.caption = caption
        self.text, self.tag, self.gap = ([getattr(w, k) for w in caption] for k in Word._fields)
        self.forms = [self._forms(i) for i in range(len(caption))]
        self.head = self._head()

    def first(self) -> int | None:
        """How many words the first action has; None where it has them all."""
        if self.head is None:
            return None
        for i in range(self.head + 1, len(self.caption)):
            if self._starts_another(i):
                end = self._without_link(i)
                if end > self.head and not self._lacks_object(end - 1):
                    return end
        return None

    def _starts_another(self, i: int) -> bool:
        word, last = self.text[i], self.text[i - 1]
        if ";" in self.gap[i] or sentence_ends(self.caption, i):
            return True
        if word == "then":
            return last not in ("now", "since", "until") and self.text[i - 2 : i] != ["now", "and"]
        if word == "next":
            return self._word(i + 1) != "to" and not self._noun_place(i) and self._clause(i + 1)
        if word in ("before", "after"):
            return self._action_at(i + 1)
        if word == "followed" and self._word(i + 1) == "by":
            return self._action_at(i + 2)
        if word in AND:
            return self.tag[i - 1] != "NUM" and self._clause(i + 1, joined=i - 1)
        return ("," in self.gap[i] and self._clause(i, joined=i - 1, participles=False)) or self._runs_on(i)

    # ------------------------------------------------------------------------------------------- clauses

    def _clause(self, i: int, joined: int | None = None, participles: bool = True) -> bool:
        """Whether a verb comes next: at once, after its subject, or after an adverbial.

        ``joined`` is the word before the conjunction or comma. A participle is a verb only right behind it.
        """
        i = self._behind_adverbs(i)
        while self._word(i) in ("when", "while", "as"):  # "and when he turns …"
            i, participles = self._behind_adverbs(i + 1), False
        if self._is_finite(i, joined) or (participles and self._is_participle(i, joined)):
            return True
        if self._tag(i) == "ADP":  # "and in the end looks …"
            after = self._behind_noun_phrase(i + 1)
            if after > i + 1 and self._is_finite(self._behind_adverbs(after), joined):
                return True
        after = self._behind_noun_phrase(i)
        return after > i and self._is_finite(self._behind_adverbs(after), None)

    def _behind_adverbs(self, i: int) -> int:
        while self._tag(i) == "ADV" or self._word(i) in TRAILING:
            i += 1
        return i

    def _behind_noun_phrase(self, i: int) -> int:
        start = i
        while self._tag(i) in NOUN_PHRASE and not (i > start and ("," in self.gap[i] or self._is_finite(i, None))):
            i += 1
        return i

    def _runs_on(self, i: int) -> bool:
        """Whether a comma is missing: "walks forward turns around"."""
        if self.tag[i - 1] != "ADV" or self.tag[i] not in ("VERB", "AUX"):
            return False
        return "s" in self.forms[i] & self.forms[self.head] and CLAUSE.isdisjoint(self.text[self.head : i])

    def _action_at(self, i: int) -> bool:
        """Whether an action comes next, "sitting down", "he sits", "a jump", and no place, "the wall", or amount."""
        if self._tag(i) == "AUX" or (i < len(self.forms) and "ing" in self.forms[i]):
            return True
        end = self._behind_noun_phrase(i)
        if end > i and self._word(i) not in POSSESSIVE and self._is_finite(self._behind_adverbs(end), None):
            return True
        if any(self.tag[k] == "NUM" or self.text[k] in FEW for k in range(i, end)):
            return False
        return any(self.text[k] in verbs().forms for k in range(i, end) if self.text[k] != "face")

    # --------------------------------------------------------------------------------------------- verbs

    def _head(self) -> int | None:
        """First verb of the main clause; else the first word that can be a verb: "a jump to the left"."""
        actions = [i for i in range(len(self.caption)) if self._is_action(i)]
        if actions and (self.text[0] in OPENERS or "ing" in self.forms[0]):
            people = [i for i in range(actions[0] + 1, len(self.caption)) if self._opens_main_clause(i)]
            actions = [i for i in actions if people and i > people[0]] or actions
        if len(actions) > 1 and self.tag[actions[0]] == "AUX":  # "is slowly and carefully walking"
            between = range(actions[0] + 1, actions[1])
            return actions[all(self.tag[i] == "ADV" or self.text[i] in AND for i in between)]
        return actions[0] if actions else None

    def _opens_main_clause(self, i: int) -> bool:
        """Whether word ``i`` can be the subject behind an opening clause; an -ing form there ends in a comma."""
        comma = any("," in gap for gap in self.gap[max(1, i - 2) : i + 1])
        return self.text[i] in verbs().people and (comma or self.text[0] in OPENERS)

    def _is_action(self, i: int) -> bool:
        word = self.text[i]
        if word in verbs().not_verbs or (word == "being" and self._word(i - 1) == "human"):
            return False
        if self._word(i + 1) in verbs().people - {"it", "one"} and self._noun_place(i):  # "a standing person"
            return False
        return bool(self.forms[i])

    def _is_finite(self, i: int, joined: int | None) -> bool:
        if i >= len(self.forms) or not self.forms[i] or self._noun_place(i) or self._lists_nouns(i, joined):
            return False
        forms, head, tagged = self.forms[i], self.forms[self.head], self.tag[i] in ("VERB", "AUX")
        if "s" in forms:
            return True
        if "base" in forms and ("past" not in forms or "base" in head):
            return tagged or head == {"base"}
        return "past" in forms and (self.tag[i] == "AUX" or (joined is not None and self._past_before(joined)))

    def _is_participle(self, i: int, joined: int | None) -> bool:
        """An -ing form that goes on from a verb, not from "while waving", nor from "a wiping or …"."""
        if i >= len(self.forms) or "ing" not in self.forms[i] or self._word(i + 1) in MOVEMENT or self._noun_place(i):
            return False
        for k in range(joined if joined is not None else -1, self.head, -1):
            if "ing" in self.forms[k]:
                before = k - 1 if self.tag[k - 1] != "ADV" else k - 2
                return self._word(before) not in INSIDE and not (k == joined and self._noun_place(k))
            if "s" in self.forms[k] and not self._noun_place(k):
                return True
        return True

    def _past_before(self, joined: int) -> bool:
        """Whether the verb before the conjunction is in the past tense, or passive: "is pushed and shoved"."""
        if "past" in self.forms[self.head] and "base" not in self.forms[self.head]:
            return True
        return any("past" in self.forms[k] and self.text[k - 1] in BE for k in range(self.head, joined + 1))

    def _lists_nouns(self, i: int, joined: int | None) -> bool:
        """Whether word ``i`` goes on a list of nouns: "performs punches and kicks", "does a jump and turn"."""
        if joined is None or self.tag[i] == "AUX" or self.text[joined] in ("step", "steps"):
            return False
        base = verbs().bases.get(self.text[self.head])
        same = self.forms[joined] & self.forms[i] & {"s", "base"}
        return joined > self.head and bool(same) and base in verbs().with_nouns

    def _noun_place(self, i: int) -> bool:
        """Whether the word before asks for a noun: "two jumps", "his right kick"."""
        if i == 0 or "," in self.gap[i] or self.text[i - 1] in verbs().people:
            return False
        return self.tag[i - 1] in ("DET", "NUM", "ADJ") or self.text[i - 1] in POSSESSIVE

    # ---------------------------------------------------------------------------------------------- ends

    def _without_link(self, end: int) -> int:
        """``end`` moved before what leads over to the next action: "and", "he is", "shortly"."""
        while end > 1:
            word, tag = self.text[end - 1], self.tag[end - 1]
            person = word in verbs().people and end > 2 and self.tag[end - 2] == "DET"
            if word in AND | TRAILING | NOMINATIVE | {"then"} or tag == "AUX":
                end -= 1
            elif person and ("," in self.gap[end - 2] or self.text[end - 3] in AND):  # ", the man then …"
                end -= 2
            else:
                break
        return end

    def _lacks_object(self, last: int) -> bool:
        """Whether a text that ends in word ``last`` lacks what its verb does something to."""
        if self.text[last] in PARTICLES:
            last -= 1
        forms = self.forms[last] & ({"s", "ing", "base"} if self.tag[last] == "VERB" else {"s", "ing"})
        return verbs().bases.get(self.text[last]) in verbs().need_object and bool(forms)

    # --------------------------------------------------------------------------------------------- words

    def _forms(self, i: int) -> frozenset[str]:
        if self.text[i] in verbs().not_verbs:
            return frozenset()
        known = verb_forms(self.text[i], self.tag[i])
        if not known and self.tag[i] == "NOUN" and self._word(i - 1) in verbs().people:
            return frozenset({"s"} if re.search("[a-z]s$", self.text[i]) else ())  # "a human hunkers down"
        return known

    def _word(self, i: int) -> str:
        return self.text[i] if 0 <= i < len(self.caption) else ""

    def _tag(self, i: int) -> str:
        return self.tag[i] if i < len(self.caption) else ""
