"""The whole way: record exact restorations, predict, restore what is promising, choose, judge, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from dit4sr.calibrate.observe.photos import Case, folder_cases, sample_cases, split
from dit4sr.calibrate.observe.statistics import photo_digests
from dit4sr.calibrate.schedules.candidate import FEWER, REUSE, UNGUIDED, Candidate, fewer_steps, whole_letter
from dit4sr.calibrate.schedules.config import ScheduleConfig
from dit4sr.calibrate.schedules.findings import Findings
from dit4sr.calibrate.schedules.judge import Judge, Verdict
from dit4sr.calibrate.schedules.prediction import Predictor
from dit4sr.calibrate.schedules.record import Row, ScheduleRecord
from dit4sr.calibrate.schedules.search import best_of, cheapest_ways, within
from dit4sr.calibrate.schedules.selection import (
    FAST_BELOW,
    MARGIN,
    RIVAL_SHARES,
    SHARES,
    better_than_fewer,
    cheapest,
    costs,
    not_dominated,
)
from dit4sr.calibrate.schedules.timing import time_in_turns
from dit4sr.calibrate.schedules.trajectory import record_trajectory
from dit4sr.runtime.backends.choice import Choice, choose
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.bundles.presets import Loss, Preset
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.machine.host import processor_name, usable_cores
from dit4sr.runtime.sampling.solver import Solver
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

EXACT, BALANCED, FAST = "exact", "balanced", "fast"
LEAST_STEPS = 4
"""Of an exact schedule: with fewer there is nothing to leave out."""
PROMISING = 2
"""Schedules of one cost that are restored, the best by prediction."""


def find_schedules(config: ScheduleConfig, show: ShowStatus = show_nothing) -> ScheduleRecord:
    """Find presets for a bundle, judge them, and write them into its manifest."""
    bundle = Bundle.open(config.bundle)
    exact = exact_of(config, bundle)
    cases, judged = split_photos(config, bundle)
    choice = choose(bundle, config.backend, threads=config.threads)
    findings = Findings.resumed(config.findings_file, _origin(bundle, exact, config.seed))
    with Upscaler(bundle, backend=choice) as upscaler:
        search = Search(bundle, choice, upscaler, exact, findings, config, show)
        chosen, kept = search.choose(cases)
        rows, presets = search.judge(judged, chosen, kept)
        timings = {}
        if config.has_timing:
            show("timing the presets")
            named = {preset.name: chosen[preset.name].settings() for preset in presets}
            timings = time_in_turns(upscaler, judged[0].photo, named)
        record = ScheduleRecord(
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=config.command,
            bundle=bundle.card.name,
            backend=upscaler.backend,
            machine=f"{processor_name()}, {usable_cores():g} cores",
            guidance=exact.guidance,
            searched_on=tuple(case.name for case in cases),
            judged_by=tuple(case.name for case in judged),
            rows=tuple(rows),
            presets=tuple(presets),
            timings=timings,
            remarks=tuple(_remarks(config, presets, {case.name for case in cases}, judged)),
        )
    write_presets(bundle, presets)
    return record


@dataclass(frozen=True)
class Search:
    """A search on one bundle: what it restores, what it has found, and what it tells on the way."""

    bundle: Bundle
    choice: Choice
    upscaler: Upscaler
    exact: Candidate
    findings: Findings
    config: ScheduleConfig
    show: ShowStatus

    def choose(self, cases: Sequence[Case]) -> tuple[dict[str, Candidate], list[Candidate]]:
        """The presets by name, and all schedules that are worth their cost, by some photos."""
        predictor = self._predictor(cases)
        promising = self._promising(predictor)
        judge = self._judge(cases)
        fewer = [self._judged(judge, each) for each in self._fewer(self.exact.solver)]
        found = [self._judged(judge, each) for each in promising]
        kept = not_dominated(better_than_fewer(found, fewer))
        floors = {BALANCED: self.config.min_psnr, FAST: self.config.min_psnr - FAST_BELOW}
        presets = {EXACT: self.exact}
        for name, floor in floors.items():
            if best := cheapest(kept, floor, self.config.max_drop):
                presets[name] = best.candidate
        guided = self._fewer_guided(predictor)
        return presets, [*(each.candidate for each in kept), *guided]

    def judge(
        self, cases: Sequence[Case], chosen: dict[str, Candidate], kept: Sequence[Candidate]
    ) -> tuple[list[Row], list[Preset]]:
        """What they do to other photos than those that they were chosen by, each beside its rivals.

        What does not beat fewer steps there as well is no preset, and is not shown.
        """
        judge = self._judge(cases)
        rivals = [*self._fewer(self.exact.solver)]
        for solver in Solver:
            if solver is not self.exact.solver:
                rivals += self._fewer(solver, RIVAL_SHARES)
        whole = self._judged(judge, self.exact)
        others = [self._judged(judge, each) for each in rivals]
        fewer = [each for each in others if each.candidate.family == FEWER]
        found = [self._judged(judge, each) for each in kept]
        guided = [each for each in found if each.candidate.family == UNGUIDED]
        worth = better_than_fewer([each for each in found if each not in guided], fewer)
        known = {each.candidate.key: each for each in [whole, *worth]}
        presets = [
            _preset(name, known[each.key], len(cases)) for name, each in chosen.items() if each.key in known
        ]
        return [Row.of(each) for each in [whole, *others, *guided, *worth]], presets

    def _predictor(self, cases: Sequence[Case]) -> Predictor:
        digests = photo_digests([case.photo for case in cases])
        for place, (case, digest) in enumerate(zip(cases, digests, strict=True), 1):
            if digest not in self.findings.trajectories:
                self.show(f"following {case.name} ({place} of {len(cases)})")
                trajectory, _ = record_trajectory(
                    self.bundle, self.choice, case, self.exact, seed=self.config.seed
                )
                self.findings.keep_trajectory(digest, trajectory)
        known = [self.findings.trajectories[digest] for digest in digests]
        return Predictor(self.exact, self.bundle.card, known)

    def _promising(self, predictor: Predictor) -> list[Candidate]:
        """The best schedules of every cost by prediction: any solver, the exact steps or half of them."""
        letter, ways = whole_letter(self.exact.guidance), []
        for steps in (self.exact.steps, self.exact.steps // 2):
            for solver in Solver:
                self.show(f"searching {steps} steps of {solver.value}")
                whole = Candidate(solver, letter * steps, self.exact.guidance, REUSE)
                ways.append(cheapest_ways(whole, predictor))
        found: list[Candidate] = []
        for rows in self._costs():
            self.show(f"improving schedules of {rows} rows")
            found += best_of(ways, rows, predictor, PROMISING)
        return list(dict.fromkeys(found))

    def _fewer_guided(self, predictor: Predictor) -> list[Candidate]:
        """The exact schedule with fewer of its steps guided, the best by prediction."""
        if self.exact.guidance <= 1:
            return []
        way = cheapest_ways(replace(self.exact, family=UNGUIDED), predictor, "u")
        wanted = [rows for rows in self._costs() if rows >= self.exact.steps]
        found = [within(way, rows, predictor) for rows in wanted]
        return list(dict.fromkeys(each for each in found if each is not None))

    def _fewer(self, solver: Solver, shares: Sequence[float] = SHARES) -> list[Candidate]:
        """Fewer steps at every cost, and nothing else."""
        rows, guidance = self._letter_rows, self.exact.guidance
        family = FEWER if solver is self.exact.solver else f"{FEWER}, {solver.value}"
        return [fewer_steps(each // rows, solver, guidance, family) for each in self._costs(shares)]

    def _costs(self, shares: Sequence[float] = SHARES) -> list[int]:
        return costs(self.exact.rows, self._letter_rows, shares)

    @property
    def _letter_rows(self) -> int:
        return self.exact.rows // self.exact.steps

    def _judge(self, cases: Sequence[Case]) -> Judge:
        return Judge(self.upscaler, cases, self.exact, self.findings, self.config.seed)

    def _judged(self, judge: Judge, candidate: Candidate) -> Verdict:
        self.show(f"restoring by {candidate.rows} rows, {candidate.family} ({len(judge.cases)} photos)")
        return judge.judge(candidate)


def exact_of(config: ScheduleConfig, bundle: Bundle) -> Candidate:
    """What all is held against: what was asked for, the bundle's own preset of that name, or its defaults."""
    settings = Settings(steps=config.steps, guidance=config.guidance)
    if EXACT in {preset.name for preset in bundle.card.presets}:
        settings = replace(settings, preset=EXACT)
    known = settings.resolved(bundle.card)
    assert known.steps is not None
    assert known.solver is not None
    assert known.guidance is not None
    if known.steps < LEAST_STEPS:
        raise BadInputError(
            f"an exact schedule of {known.steps} steps",
            expected=f"{LEAST_STEPS} or more, of which some can be left out",
            fix="choose --steps, and --guidance",
        )
    return Candidate(known.solver, whole_letter(known.guidance) * known.steps, known.guidance, EXACT)


def split_photos(config: ScheduleConfig, bundle: Bundle) -> tuple[list[Case], list[Case]]:
    """The photos to search on, and those to judge by."""
    cases = folder_cases(config.images, bundle.card) if config.images else sample_cases(bundle.card)
    return (cases, folder_cases(config.held_out, bundle.card)) if config.held_out else split(cases)


def write_presets(bundle: Bundle, presets: Sequence[Preset]) -> None:
    """Write presets into a bundle's manifest, in place of those that it had."""
    card = replace(bundle.card, presets=tuple(presets))
    text = replace(bundle.manifest, model=card).to_text()
    write_whole(bundle.path / MANIFEST, text.encode(), replace=True)


def _preset(name: str, verdict: Verdict, photos: int) -> Preset:
    candidate = verdict.candidate
    is_exact = name == EXACT
    loss = Loss(
        photos,
        None if is_exact else round(verdict.psnr, 2),
        None if is_exact else round(verdict.worst_psnr, 2),
        None if verdict.drop is None else round(verdict.drop, 3),
    )
    return Preset(
        name, candidate.steps, candidate.solver.value, candidate.guidance, candidate.velocities, loss
    )


def _origin(bundle: Bundle, exact: Candidate, seed: int) -> dict[str, str]:
    weights = " ".join(
        record.sha256 for name in sorted(bundle.components) for record in bundle.components[name].files
    )
    return {"weights": weights, "exact schedule": f"{exact.key} {exact.guidance:g}", "seed": str(seed)}


def _remarks(
    config: ScheduleConfig, presets: Sequence[Preset], searched: set[str], judged: Sequence[Case]
) -> list[str]:
    floors = {BALANCED: config.min_psnr, FAST: config.min_psnr - FAST_BELOW}
    found = {preset.name: preset.loss for preset in presets}
    remarks = [
        f"no {name}: nothing that beats fewer steps comes to {floor:g} dB with a margin of {MARGIN:g}"
        for name, floor in floors.items()
        if name not in found
    ]
    for name, floor in floors.items():
        loss = found.get(name)
        if loss is not None and loss.psnr is not None and loss.psnr < floor:
            remarks.append(
                f"{name} comes to {loss.psnr:g} dB on the photos that it is judged by, not {floor:g}"
            )
        if loss is not None and loss.drop is not None and loss.drop > config.max_drop:
            remarks.append(f"{name} loses {loss.drop:g} dB against the truth, not {config.max_drop:g}")
    if {case.name for case in judged} <= searched:
        remarks.append("judged by photos that were searched on, for want of others")
    return remarks
