"""Checks of motions: frozen, jumping, sliding, off the floor, of the wrong speed."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.finding import ERROR, NOTE, WARNING, Case, Finding, worst
from motion_lightning.doctor.measure import figures

# Bounds; what real motions reach is measured in experiments/doctor.
FROZEN = 3  # steps without movement
JUMP = 0.10  # m, mean over joints
TELEPORT, SPRINT = 0.25, 12.5  # m in a step, and m/s: nobody runs faster
T_POSE = 0.93  # cosine
SLIDE = 0.6  # m/s
STAND, STAIRS, UNDER = 0.12, 0.22, -0.04  # m
FAST, RUNNING, FAST_RUN, FALL = 13.5, 2.0, 18.0, 1.6  # 1/s, m/s, 1/s, g
NATURAL = 9.0  # 1/s, tempo of a group of clips in the middle
MANY = 8  # clips of a group whose median can be trusted
SLOWEST, FASTEST = 0.7, 1.4  # of the natural tempo
LEAP = 0.6  # g: what is played at half its speed or less falls with 1.5 / 4 g at most
LENGTHS = 6.0  # times the median length, or a sixth of it


def measure(clips: Clips, progress: Callable = iter) -> dict[str, np.ndarray]:
    """Figures of every motion, (N,) each."""
    rows = [figures(clips.joints(row), clips.skeleton, clips.fps) for row in progress(range(len(clips)))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def check_motions(clips: Clips, measured: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Findings about single motions."""
    n, m = len(clips), measured

    def cases(bad: np.ndarray, value: np.ndarray, say: Callable[[int], str], at: str = "") -> list[Case]:
        return worst(
            [
                Case(f"{clips.ids[i]}: {say(i)}", int(i), int(m[at][i]) if at else None, float(value[i]))
                for i in np.flatnonzero(bad)
            ]
        )

    yield Finding(
        "frozen frames", WARNING, "drop the frames (skip_frames of a captions file), or the clip", n,
        cases=cases(
            m["frozen"] >= FROZEN, m["frozen"],
            lambda i: f"nothing moves for {m['frozen'][i] + 1:.0f} frames, from {clips.seconds(m['frozen_at'][i])} on",
            "frozen_at",
        ),
    )  # fmt: skip
    teleports = (m["root_jump"] > TELEPORT) | (m["root_speed"] > SPRINT)
    yield Finding(
        "teleporting roots", ERROR, "cut the clip where it jumps; at the start it is often a T-pose", n,
        cases=cases(
            teleports, m["root_jump"],
            lambda i: f"the root leaves its path by {m['root_jump'][i]:.2f} m ({clips.seconds(m['jump_at'][i])})",
            "jump_at",
        ),
    )  # fmt: skip
    yield Finding(
        "jumping bodies", WARNING, "look there: a cut, a glitch, or the end of frozen frames; cut the clip", n,
        cases=cases(
            (m["jump"] > JUMP) & ~teleports, m["jump"],
            lambda i: f"all joints leave their paths, by {m['jump'][i]:.2f} m ({clips.seconds(m['jump_at'][i])})",
            "jump_at",
        ),
    )  # fmt: skip
    yield Finding(
        "T-pose starts", WARNING, "drop the leading frames (skip_frames of a captions file, lead_in of a rig)", n,
        cases=cases(
            m["t_pose"] > T_POSE, m["t_pose"], lambda i: "starts with the arms stretched out sideways and straight legs"
        ),
    )  # fmt: skip
    yield Finding(
        "sliding feet", WARNING, "do not judge foot contact on these", n,
        cases=cases(m["slide"] > SLIDE, m["slide"], lambda i: f"standing feet slide at {m['slide'][i]:.2f} m/s"),
    )  # fmt: skip
    yield Finding(
        "feet above the floor", WARNING, "the floor lies too low: something reached below where the feet stand", n,
        cases=cases(
            (m["stand"] > STAND) & (m["stairs"] <= STAIRS), m["stand"],
            lambda i: f"feet stand {100 * m['stand'][i]:.0f} cm above the lowest point of the clip",
        ),
    )  # fmt: skip
    yield Finding(
        "uneven floors", NOTE, "steps, props, or a drifting root: no place to learn foot contact from", n,
        cases=cases(
            m["stairs"] > STAIRS, m["stairs"], lambda i: f"feet stand at heights {m['stairs'][i]:.2f} m apart"
        ),
    )  # fmt: skip
    yield _under_the_floor(clips)


def _under_the_floor(clips: Clips) -> Finding:
    """What the corpus tells of its files: features have the floor put right already."""
    heights = [tags.get("floor") for tags in clips.tags]
    finding = Finding(
        "files with feet under the floor", WARNING, "root heights do not fit the body; features stand on their own "
        "floor, but a root that is not to scale may also slide", len(clips),
    )  # fmt: skip
    if all(height is None for height in heights):
        finding.skipped = "the corpus does not tell how low its files reach"
        return finding
    finding.cases = worst(
        [
            Case(
                f"{clips.ids[i]}: the lowest joint of the file is {-100 * height:.0f} cm under its floor",
                i,
                None,
                height,
            )
            for i, height in enumerate(heights)
            if height is not None and height < UNDER
        ],
        reverse=False,
    )
    return finding


def check_speed(clips: Clips, measured: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Clips, recordings and sources that play too fast or too slow; see ``measure.tempo`` and ``measure.fall``.

    A single clip can only be told when it is too fast: resting people look like slow ones. Of a source with many
    clips the median tells both; a slow one in which somebody leaps as gravity has it is slow by nature.
    """
    tempo, fall, speed = (measured[name] for name in ("tempo", "fall", "speed"))
    parts = defaultdict(list)
    for row, name in enumerate(clips.recordings):
        parts[name].append(row)
    quick, falling = [], []
    for name, rows in parts.items():
        own = np.nanmedian(tempo[rows]) if np.isfinite(tempo[rows]).any() else 0.0
        down = np.nanmax(fall[rows]) if np.isfinite(fall[rows]).any() else 0.0
        bound = FAST_RUN if np.median(speed[rows]) > RUNNING else FAST
        if down > FALL:
            row = rows[int(np.nanargmax(fall[rows]))]
            falling.append(Case(f"{name}: its centre of mass is drawn down with {down:.1f} g", row, None, float(down)))
        if own > bound:
            what = f"{name}: limbs change at {own:.1f}/s, {own / NATURAL:.1f} times the usual"
            quick.append(Case(what, rows[0], None, float(own / bound)))
    yield Finding(
        "falls faster than gravity", WARNING, "the frame rate is too high, or the root is not the body's",
        len(parts), "recordings", cases=worst(falling),
    )  # fmt: skip
    yield Finding(
        "quick recordings", NOTE, "waving and clapping are quick; else compare the frame rate with the source",
        len(parts), "recordings", cases=worst(quick),
    )  # fmt: skip

    groups = defaultdict(list)
    for row, name in enumerate(clips.groups):
        if np.isfinite(tempo[row]):
            groups[name].append(row)
    cases = []
    judged = {name: rows for name, rows in groups.items() if len(rows) >= MANY}
    for name, rows in judged.items():
        factor = float(np.median(tempo[rows])) / NATURAL
        if factor > FASTEST or (factor < SLOWEST and not np.nanmax(fall[rows]) > LEAP):
            what = f"{name or 'the corpus'}: {len(rows)} clips play {factor:.2f} times as fast as people move"
            middle = rows[int(np.argsort(tempo[rows])[len(rows) // 2])]
            cases.append(Case(what, middle, None, abs(float(np.log(factor)))))
    finding = Finding(
        "frame rate of a source", WARNING, "its frame rate is wrong by about that factor, unless it is all of one kind",
        len(judged), "sources", cases=worst(cases),
    )  # fmt: skip
    if not judged:
        finding.skipped = f"no source has {MANY} clips with movement"
    yield finding


def check_lengths(clips: Clips) -> Iterator[Finding]:
    """Clips whose length is far from the others'."""
    median = float(np.median(clips.lengths))
    ratio = np.maximum(clips.lengths / median, median / np.maximum(clips.lengths, 1))
    yield Finding(
        "outlying lengths", NOTE, f"the median clip has {median / clips.fps:.1f} s: cut or drop the others", len(clips),
        cases=worst([
            Case(f"{clips.ids[i]}: {clips.seconds(clips.lengths[i])}", int(i), None, float(ratio[i]))
            for i in np.flatnonzero(ratio > LENGTHS)
        ]),
    )  # fmt: skip


def check_numbers(clips: Clips) -> Iterator[Finding]:
    """NaN and infinity, and clips of which no number ever changes; whatever the representation."""
    broken, still = [], []
    for row in range(len(clips)):
        features = clips.store.features[row]
        if features.dtype.kind == "f" and not np.isfinite(features).all():
            at = int(np.flatnonzero(~np.isfinite(features.reshape(len(features), -1)).all(1))[0])
            broken.append(Case(f"{clips.ids[row]}: not a number in frame {at}", row, at, 0.0))
        elif len(features) > 1 and (features == features[:1]).all():
            still.append(
                Case(f"{clips.ids[row]}: all {len(features)} frames are the same", row, 0, float(len(features)))
            )
    yield Finding(
        "NaN and infinity", ERROR, "prepare the corpus again; repair or drop the clip", len(clips), cases=broken
    )
    yield Finding("clips that stand still", WARNING, "drop them", len(clips), cases=worst(still))
