"""What stands on the page, what it looks like, and what answers whom.

Gradio is imported with this module, when a page opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import themes

from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.image.photo import SUFFIXES
from dit4sr.runtime.page import recipe, stage
from dit4sr.runtime.page.answers import Answer, Answers, Wish
from dit4sr.runtime.page.limits import Limits
from dit4sr.runtime.restoration import Progress
from dit4sr.runtime.settings import Settings

SAMPLES = Path(__file__).parents[1] / "samples"
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8") + stage.STYLE + recipe.STYLE
NEW_SEED = "() => Math.floor(Math.random() * 2 ** 32)"
TO_THE_STAGE = """() => {
  document.getElementById("stage").scrollIntoView({ behavior: "smooth", block: "nearest" });
  return [];
}"""


class Layout:
    """The page's parts, and the wires between them."""

    def __init__(self, answers: Answers, limits: Limits) -> None:
        self._answers, self._limits = answers, limits
        with gr.Blocks(title="dit4sr", analytics_enabled=False) as blocks:
            gr.HTML(self._title(), apply_default_css=False)
            with gr.Row(elem_id="desk"):
                with gr.Column(scale=1, min_width=300):
                    self._add_wishes()
                with gr.Column(scale=3, min_width=300):
                    self._add_results()
            self._wire()
            blocks.unload(self._leave)
        blocks.queue(max_size=limits.queue)
        self.blocks = blocks

    def _title(self) -> str:
        upscaler = self._answers.upscaler
        said = f"{upscaler.card.name} on {upscaler.backend}. Photos stay on the machine that runs this page."
        return f'<header id="title"><h1>dit4sr</h1><p>{escape(said)}</p></header>'

    def _add_wishes(self) -> None:
        upscaler = self._answers.upscaler
        self._drop = gr.File(
            label="Photo", file_types=["image", *sorted(SUFFIXES)], height=180, elem_id="drop"
        )
        with gr.Row(elem_id="samples"):
            self._samples = {
                name: gr.Button(said, size="sm")
                for name, said in (("coffee", "Coffee"), ("chelsea", "Cat"), ("astronaut", "Astronaut"))
            }
        names = [preset.name for preset in upscaler.card.presets]
        self._preset = gr.Radio(
            [("default", ""), *names],
            value="",
            label="Preset",
            info=self._work(),
            visible=bool(names),
            elem_id="preset",
        )
        self._prompt = gr.Textbox(
            label="What the photo shows",
            placeholder="optional: a cup of coffee on a wooden table",
            max_length=self._limits.prompt,
            visible=upscaler.reads_words,
            elem_id="prompt",
        )
        with gr.Row(elem_id="seed"):
            self._seed = gr.Number(0, label="Seed", precision=0, min_width=120, scale=2)
            self._new_seed = gr.Button("Random", size="md", min_width=90, scale=1)
        self._start = gr.Button("Restore", variant="primary", elem_id="restore")
        self._stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")

    def _work(self) -> str:
        """What presets cost, as shares of the most expensive."""
        card = self._answers.upscaler.card
        rows = {"default": sum(Settings().schedule(card).rows)}
        rows |= {preset.name: preset.rows for preset in card.presets}
        most = max(rows.values())
        return "Work of each: " + ", ".join(
            f"{name} {100 * each / most:.0f}\u00a0%" for name, each in rows.items()
        )

    def _add_results(self) -> None:
        self._stage = gr.HTML(
            stage.EMPTY, js_on_load=stage.SCRIPT, apply_default_css=False, elem_id="stage", min_height=200
        )
        self._download = gr.DownloadButton("Download", visible=False, size="md", elem_id="download")
        self._recipe = gr.HTML(js_on_load=recipe.SCRIPT, apply_default_css=False, elem_id="recipe")

    def _wire(self) -> None:
        quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        results = [self._stage, self._download, self._recipe]
        for name, button in self._samples.items():
            button.click(partial(self._sample, name), outputs=self._drop, **quick)
        self._new_seed.click(None, outputs=self._seed, js=NEW_SEED, **quick)
        self._drop.change(
            self._look,
            self._drop,
            results,
            concurrency_id="look",
            concurrency_limit=2,
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=self._stage,
        )
        buttons = [self._start, self._stop]
        asked = [self._start.click, self._prompt.submit]
        begun = gr.on(asked, self._busy, outputs=buttons, js=TO_THE_STAGE, **quick)
        restoring = begun.then(
            self._restore,
            [self._drop, self._preset, self._prompt, self._seed],
            results,
            api_name="restore",
            concurrency_id="restore",
            concurrency_limit=1,
            show_progress="full",
            show_progress_on=self._stage,
        )
        restoring.then(self._idle, outputs=buttons, **quick)
        self._stop.click(self._end, outputs=[self._stage, *buttons], cancels=[restoring], **quick)

    def _sample(self, name: str) -> str:
        return str(self._answers.sample(SAMPLES / f"{name}.png"))

    def _look(self, file: str | None) -> Sequence[Any]:
        return self._shown(self._answers.look(file))

    def _restore(  # noqa: PLR0917 - Gradio calls it so
        self,
        photo: str | None,
        preset: str | None,
        prompt: str | None,
        seed: float | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio asks for it so
    ) -> Sequence[Any]:
        """Restore a photo."""

        def show(done: Progress) -> None:
            progress((done.done, done.total), desc=_said(done), unit="runs")

        wish = Wish(photo, preset, prompt, seed)
        return self._shown(self._answers.restore(wish, str(request.session_hash), show))

    def _shown(self, answer: Answer) -> Sequence[Any]:
        """An answer as what becomes of the page's parts."""
        call, file = answer.call, answer.file
        if call is None or file is None:
            return answer.stage, gr.update(value=None, visible=False), ""
        label = f"Download {file.name} ({format_bytes(file.stat().st_size)})"
        return answer.stage, gr.update(value=str(file), label=label, visible=True), recipe.to_html(call)

    def _busy(self) -> Sequence[Any]:
        return gr.update(visible=False), gr.update(visible=True)

    def _idle(self) -> Sequence[Any]:
        return gr.update(visible=True), gr.update(visible=False)

    def _end(self, request: gr.Request) -> Sequence[Any]:
        self._answers.visitors.stop(str(request.session_hash))
        return stage.remark("Stopped."), *self._idle()

    def _leave(self, request: gr.Request) -> None:
        self._answers.visitors.stop(str(request.session_hash))


def _said(done: Progress) -> str:
    """How far a picture is, in the steps that its schedule has."""
    if done.stage != "step":
        return {"vae_encoder": "Reading the photo", "vae_decoder": "Drawing the picture"}.get(done.stage, "")
    runs, steps = done.plan.runs, done.plan.schedule.steps
    taken = done.done - runs["vae_encoder"]
    return f"Step {-(-taken * steps // runs['step'])} of {steps}"


def theme() -> Any:
    """Gradio's theme with letters that need not be fetched."""
    return themes.Default(
        primary_hue=themes.colors.blue,
        neutral_hue=themes.colors.slate,
        radius_size=themes.sizes.radius_md,
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        # A shade darker than Gradio's: small letters are read as well.
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
    )
