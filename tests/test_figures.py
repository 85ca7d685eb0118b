"""The figures show what the tables hold: lines, bands, colours, marks, words and bytes."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.text import Text

from deepcontrol import style
from deepcontrol.studies.figure1 import MissingCurveError, figure1, lambda_figure
from deepcontrol.style import save

KEY = ["method", "network", "minibatch", "lr"]
# What the paper's eight panels hold, in drawing order, written down apart from the module's own table.
PANELS = {
    "a": [("bn", "segnet", 1, 0.02), ("bn", "segnet", 4, 0.08), ("bn", "segnet", 8, 0.16)],
    "b": [("agc", "segnet", 1, 0.02), ("agc", "segnet", 4, 0.08), ("agc", "segnet", 8, 0.16)],
    **dict.fromkeys("ce", [("bn", "segnet", 4, 0.08), ("agc", "segnet", 4, 0.08)]),
    **dict.fromkeys("df", [("bn", "classnet", 4, 0.08), ("agc", "classnet", 4, 0.08)]),
    "g": [("bn", "segnet", 8, 0.08), ("bn", "segnet", 8, 0.16)],
    "h": [("agc", "segnet", 8, rate) for rate in (0.08, 0.16, 0.32, 0.64)],
}
CELLS = list(dict.fromkeys(cell for cells in PANELS.values() for cell in cells))
FASTEST = ("agc", "segnet", 8, 0.64)


def runs(**columns):
    """Every combination of the twelve cells and `columns`."""
    rows = [("-".join(map(str, cell)), *cell, *rest) for cell, *rest in product(CELLS, *columns.values())]
    table = pd.DataFrame(rows, columns=["cell", *KEY, *columns])
    return table.assign(samples_seen=360 * table.epoch)


def curves_table(epochs=6, seeds=3, floor=0.3):
    """Errors that fall from 0.95 to about `floor`; those of the training split, which no panel shows, are a tenth."""
    table = runs(seed=range(seeds), epoch=range(epochs + 1), split=["train", "val"]).assign(status="finished")
    noise = 0.02 * np.random.default_rng(0).random(len(table))
    error = (floor + (0.95 - floor) * np.exp(-table.epoch) + noise) * np.where(table.split == "val", 1, 0.1)
    return table.assign(error=error, global_error=error, loss=3 * error**2, miou=1 - error)


CURVES = curves_table()


def gains_table():
    table = runs(seed=range(2), epoch=range(4), depth=range(5), quantity=["lambda", "gamma"])
    mean = 1 - 0.03 * table.depth * table.epoch + 0.1 * np.random.default_rng(1).random(len(table))
    mean += np.where(table.quantity == "gamma", 5, 0)
    return table.assign(layer="unit" + table.depth.astype(str), mean=mean, min=mean - 0.3, max=mean + 0.4)


def of(table, cell):
    return (table[KEY] == list(cell)).all(axis=1)


def drawn_from(curves, letter, cell):
    """What a panel must show of a cell: a row an epoch, a column a seed."""
    rows = curves[of(curves, cell) & (curves.split == "val")].set_index(["epoch", "seed"])
    return (rows.loss if letter in "ef" else 100 * rows.error).unstack()


def diverge(curves, cell, seed, after):
    """The run of one seed ends diverged after the given epoch."""
    run = of(curves, cell) & (curves.seed == seed)
    return curves.assign(status=curves.status.mask(run, "diverged"))[~run | (curves.epoch <= after)]


def panel(figure, letter):
    return figure.axes["abcdefgh".index(letter)]


def lines(figure, letter):
    """The curves: neither crosses nor the paper's marks, which have no legend entry."""
    return [line for line in panel(figure, letter).lines if not line.get_label().startswith("_")]


def cross(figure, letter):
    """Epoch, height, colour and clipping of a panel's only cross."""
    (mark,) = [line for line in panel(figure, letter).lines if line.get_marker() == "x"]
    return *mark.get_xydata()[0], mark.get_color(), mark.get_clip_on()


def legend(figure, letter):
    return [text.get_text() for text in panel(figure, letter).get_legend().get_texts()]


@pytest.fixture(scope="module")
def figure():
    return figure1(CURVES, "Painted streets, preset desk.")


@pytest.mark.parametrize("letter", PANELS)
def test_lines_are_means_over_seeds_and_bands_run_from_least_to_greatest(figure, letter):
    bands = panel(figure, letter).collections
    assert len(bands) == len(lines(figure, letter)) == len(PANELS[letter])
    for line, band, cell in zip(lines(figure, letter), bands, PANELS[letter]):
        table = drawn_from(CURVES, letter, cell)
        means = sum(table[seed] for seed in range(3)) / 3
        np.testing.assert_allclose(line.get_xydata(), list(means.items()))
        corners = pd.DataFrame(band.get_paths()[0].vertices).groupby(0)[1].agg(["min", "max"])
        np.testing.assert_allclose(corners, table.agg(["min", "max"], axis=1))


@pytest.mark.parametrize("letter", PANELS)
def test_a_method_keeps_its_hue_and_lines_read_in_grey(figure, letter):
    hues = {name: rgb_to_hsv(to_rgb(colour))[0] for name, colour in style.METHOD_COLOURS.items()}
    assert len({round(hues[name], 1) for name in ("bn", "agc", "scale", "zero_mean")}) == 4
    assert style.shades("agc", 1) == [style.METHOD_COLOURS["agc"]]
    colours = [line.get_color() for line in lines(figure, letter)]
    for colour, (method, *_) in zip(colours, PANELS[letter]):
        assert rgb_to_hsv(to_rgb(colour))[0] == pytest.approx(hues[method], abs=0.01)
        assert letter in "abgh" or colour == style.METHOD_COLOURS[method]
    assert len({str(line._unscaled_dash_pattern) for line in lines(figure, letter)}) == len(colours)
    if letter in "abgh":  # larger is darker
        luminance = [float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722])) for colour in colours]
        assert luminance == sorted(set(luminance), reverse=True)


def test_words_name_the_cells_the_axes_and_the_papers_findings(figure):
    assert panel(figure, "h").get_title(loc="left") == "(h) AGC, SegNet, minibatch 8"
    assert legend(figure, "a") == ["minibatch 1, lr 0.02", "minibatch 4, lr 0.08", "minibatch 8, lr 0.16"]
    assert legend(figure, "h") == ["lr 0.08", "lr 0.16", "lr 0.32", "lr 0.64"]
    assert "paper: minibatch 1 ends about\n2 points" in panel(figure, "a").get_legend().get_title().get_text()
    assert panel(figure, "a").get_xlabel() == "epoch (1 epoch = 360 samples)"
    assert panel(figure, "d").get_ylabel() == "validation error\n(% of pixels wrongly labelled)"
    assert panel(figure, "f").get_ylabel() == "validation loss"
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 9


@pytest.mark.parametrize("cell", CELLS)
def test_a_missing_and_an_ambiguous_curve_are_named_with_their_panel(cell):
    method, network, minibatch, lr = cell
    letter = next(letter for letter, cells in PANELS.items() if cell in cells)
    name = f"{style.METHOD_NAMES[method]}, {style.NETWORK_NAMES[network]}, minibatch {minibatch}, lr {lr}"
    with pytest.raises(MissingCurveError, match=rf"Panel \({letter}\) needs {name}, which the table does not hold"):
        figure1(CURVES[~of(CURVES, cell) | (CURVES.split == "train")], "")
    twin = CURVES[of(CURVES, cell)].assign(cell="other-data")  # refused rather than averaged
    with pytest.raises(ValueError, match=rf"Panel \({letter}\) .*{lr}, other-data give several"):
        figure1(pd.concat([CURVES, twin]), "")


def test_a_diverged_run_ends_in_a_cross_and_the_legend_says_so():
    figure = figure1(diverge(CURVES, FASTEST, seed=1, after=3), "")
    mean = drawn_from(CURVES, "h", FASTEST).loc[:3].mean(axis=1)  # the epochs that all three seeds reached
    line = lines(figure, "h")[3]
    np.testing.assert_allclose(line.get_xydata(), list(mean.items()))
    assert cross(figure, "h") == (3, pytest.approx(mean[3]), line.get_color(), False)
    assert legend(figure, "h")[3] == "lr 0.64 (1 of 3 seeds diverged)" and "A cross" in figure.get_supxlabel()
    alone = figure1(diverge(CURVES[CURVES.seed == 0], FASTEST, seed=0, after=2), "")
    assert legend(alone, "h")[3] == "lr 0.64 (diverged)"
    assert "Lines: one seed." in alone.get_supxlabel() and not any(ax.collections for ax in alone.axes)  # no band


@pytest.mark.parametrize("last", [1e30, np.inf, np.nan])
def test_a_divergence_squashes_nothing_and_its_cross_stays_in_sight(last):
    drawn = diverge(CURVES, PANELS["e"][0], seed=1, after=3)
    drawn.loc[(drawn.status == "diverged") & (drawn.epoch == 3), "loss"] = last
    figure = figure1(drawn, "")
    low, high = panel(figure, "e").get_ylim()
    assert high < 1.1 * drawn_from(drawn, "e", PANELS["e"][1]).loc[1:].to_numpy().max()
    assert low <= cross(figure, "e")[1] <= high
    # The files must not carry the far corners of a band, which no reader can draw.
    assert max(band.get_paths()[0].vertices[:, 1].max() for band in panel(figure, "e").collections) < 200 * high
    drawn.loc[drawn.status == "diverged", "loss"] = last
    assert np.isfinite(last) or cross(figure1(drawn, ""), "e")[0] == 0  # no finite value at all


def test_limits_forgive_spikes_and_first_epochs_and_hold_every_steady_curve():
    curves = curves_table(epochs=60, seeds=1)
    curves.loc[of(curves, ("bn", "segnet", 8, 0.16)) & (curves.epoch == 30), "error"] = 0.99
    curves.loc[of(curves, ("bn", "segnet", 8, 0.08)) & (curves.epoch > 0), "error"] = 0.55
    assert 55 < panel(figure1(curves, ""), "g").get_ylim()[1] < 65
    short, ramp, flat = np.array([0.5, 0.4, 0.35, 0.32, 0.3, 0.3, 9.0]), np.linspace(1, 0, 101), np.array([0.3])
    assert 0.5 < style.robust_range([short], [short])[1] < 1
    assert style.robust_range([ramp], [ramp]) == pytest.approx((-0.049, 1.029))  # the 98% quantile and a 5% margin
    assert style.robust_range([], [ramp]) == style.robust_range([ramp], [ramp])
    assert style.robust_range([flat], [flat]) == pytest.approx((0.285, 0.315))


def test_panels_a_and_b_and_g_and_h_share_their_range():
    raised = of(CURVES, ("agc", "segnet", 1, 0.02)) | of(CURVES, ("bn", "segnet", 8, 0.08))
    figure = figure1(CURVES.assign(error=CURVES.error + 0.2 * raised), "")
    a, b, c, _, _, _, g, h = (ax.get_ylim() for ax in figure.axes)
    assert a == b and g == h and a[1] > 1.2 * c[1]


def test_the_papers_numbers_are_in_the_legend_when_out_of_range_and_at_the_edge_when_within(figure):
    assert legend(figure, "c") == ["BN (paper: 9.57 %)", "AGC (paper: 9.73 %)"]
    assert legend(figure, "d") == ["BN (paper: 5.53 %)", "AGC (paper: 5.34 %)"]
    near = figure1(curves_table(floor=0.09), "")
    assert legend(near, "c") == ["BN", "AGC"]
    marks = [(text.get_text(), text.get_position()[1], text.get_color()) for text in panel(near, "c").texts]
    assert marks == [(f"paper\n{v} %", v, style.METHOD_COLOURS[name]) for v, name in ((9.57, "bn"), (9.73, "agc"))]


def test_the_caption_is_whole_and_below_the_panels_within_the_figure():
    text = "Painted streets at preset desk, $5 or $6 a run, twelve cells of Figure 1, " * 4 + "commit 0123abc."
    figure = figure1(CURVES, text)
    figure.draw_without_rendering()
    assert " ".join(figure.get_supxlabel().split()).startswith(f"{text} Lines: mean over 3 seeds; bands: minimum")
    assert not figure._supxlabel.get_parse_math()  # dollars stay dollars
    box = figure._supxlabel.get_window_extent()
    assert 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0
    assert box.y1 <= min(ax.get_tightbbox().y0 for ax in figure.axes)


def test_files_are_byte_for_byte_repeatable(tmp_path):
    figure = figure1(CURVES, "Caption.")
    first = save(figure, tmp_path / "results" / "figure1")
    assert [path.name for path in first] == ["figure1.png", "figure1.svg", "figure1.pdf"]
    for again in (figure, figure1(CURVES, "Caption.")):  # the same figure saved twice, and drawn anew
        assert [path.read_bytes() for path in save(again, tmp_path / "again")] == [path.read_bytes() for path in first]
    png, svg, pdf = (path.read_bytes() for path in first)
    assert b"<svg" in svg and b"dc:date" not in svg and pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
    assert [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)] == [1500, 2100]  # 10 x 14 inches at 150 dpi


@pytest.mark.parametrize("last", [3, 2])
def test_lambda_shows_the_last_epoch_of_all_seeds_and_every_layers_course(last):
    gains = gains_table()
    gains = gains[(gains.seed == 0) | (gains.epoch <= last)]
    figure = lambda_figure(gains, CURVES, "Caption.")
    for row, network in enumerate(["segnet", "classnet"]):
        by_depth, over_training = figure.axes[2 * row : 2 * row + 2]
        (dots,) = [line for line in by_depth.lines if line.get_marker() == "o"]
        shown = gains[of(gains, ("agc", network, 4, 0.08)) & (gains.quantity == "lambda")].groupby(["epoch", "depth"])
        means = shown["mean"].mean().unstack().loc[:last]  # a row an epoch, a column a layer
        np.testing.assert_allclose(dots.get_xydata(), list(means.loc[last].items()))
        bars = [segment[:, 1] for segment in by_depth.collections[0].get_segments()]
        np.testing.assert_allclose(bars, shown.agg({"min": "min", "max": "max"}).loc[last])
        assert dots.get_color() == style.METHOD_COLOURS["agc"]
        np.testing.assert_allclose([line.get_ydata() for line in over_training.lines], means.T)
        assert len({line.get_color() for line in over_training.lines}) == 5
    assert figure.get_supxlabel().startswith("Caption. Dots and lines: mean over a layer's channels and 2 seeds")
    bands = {band.get_label(): (band.get_y(), band.get_y() + band.get_height()) for band in figure.axes[0].patches}
    assert bands["paper: observed range 0 to 2"] == (0, 2)
    assert bands["paper: mid-depth mean 0.7 to 0.9"] == pytest.approx((0.7, 0.9))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {*bands, "paper: near 0 at the classifier; near 1 deepest"} <= set(words)


def test_lambda_leaves_out_other_cells_that_diverged_and_names_a_missing_one():
    gains = gains_table()
    for cell, ending, others in ((FASTEST, "", 4), (PANELS["b"][1], " (diverged)", 5)):  # of AGC's six on SegNet
        ax = lambda_figure(gains, diverge(CURVES, cell, seed=0, after=2), "").axes[0]
        assert ax.get_title(loc="left") == "SegNet, minibatch 4, lr 0.08" + ending
        assert len([line for line in ax.lines if line.get_linewidth() < 1]) == others
    with pytest.raises(MissingCurveError, match="The lambda figure needs AGC, ClassNet, minibatch 4, lr 0.08"):
        lambda_figure(gains[gains.network == "segnet"], CURVES, "")
