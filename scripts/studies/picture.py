"""The picture of a study: what each value adds to the score, a dot each."""

from minisca.figures.page import COLOURS, FAINT, INK, Page

LINE, HEAD, FOOT, WIDTH = 44, 110, 130, 1300


def draw_effects(path, effects, spread, title, score):
    """Write the PNG `path`: effects of `studies.report.effects`; spread of seeds, or None."""
    shown = [entry for entry in effects if entry["difference"] is not None]
    page = Page(WIDTH, HEAD + LINE * len(shown) + FOOT)
    axes = page.axes(420, HEAD, WIDTH - 470, LINE * len(shown))
    if spread:
        axes.axvspan(-spread, spread, color="#e8e8e8", lw=0)
    axes.axvline(0, color=FAINT, lw=0.6)
    names = list(dict.fromkeys(entry["setting"] for entry in shown))
    for line, entry in enumerate(shown):
        colour = COLOURS[names.index(entry["setting"]) % len(COLOURS)]
        style = {"fmt": "o", "ms": 4, "lw": 1, "color": colour}
        style["mfc"] = "white" if entry["reference"] else colour
        axes.errorbar(entry["difference"], line, xerr=entry["standard_error"], **style)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(range(len(shown)), [_label(entry) for entry in shown])
    axes.set_xlabel(f"difference of the {score} from the reference's", fontsize=8)
    axes.tick_params(labelsize=7, color=FAINT, labelcolor=INK, width=0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    page.text(30, 34, title, 9, weight="bold")
    told = "" if spread is None else "; grey: one standard deviation of seeds"
    page.text(30, 72, f"hollow: the reference; bars: standard error{told}", 7, color=FAINT)
    page.save(path)


def _label(entry):
    value = entry["value"]
    return f"{entry['setting']} = {'off' if value is None else value}"
