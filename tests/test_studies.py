"""The studies of the other three papers: verdicts that can go both ways, figures that hold the tables' numbers."""

import numpy as np
import pandas as pd
import pytest

from deepcontrol.curves import MissingCell
from deepcontrol.entry import cells, compose_cell
from deepcontrol.studies import STUDIES
from deepcontrol.studies.cells import lower
from deepcontrol.studies.scale_claims import largest_spike
from deepcontrol.style import METHOD_COLOURS

SEEDS, EPOCHS, STEPS = (0, 1), 20, 200
SCALE = {
    ("small_cnn", "tanh", "bn"): 0.3059, ("small_cnn", "tanh", "scale"): 0.3258, ("small_cnn", "relu", "bn"): 0.291,
    ("small_cnn", "relu", "scale"): 0.312, ("vgg16", "tanh", "bn"): 0.1528, ("vgg16", "tanh", "scale"): 0.1497,
    ("vgg16", "relu", "bn"): 0.1320, ("vgg16", "relu", "scale"): 0.1217,
}  # fmt: skip


def as_the_papers_say(cell, config):
    """A cell's final error if all went as its paper claims."""
    method, activation, lr = config.method["name"], config.network.activation, config.lr
    if cell.startswith("scale"):
        special = 0.02 * any(word in cell for word in ("momentum", "detach"))
        return SCALE[config.network.name, activation, method] + special
    if cell.startswith("zero_mean"):
        if method == "bn" and lr > 0.1:
            return 0.9
        far = abs(np.log10(lr * 128 / config.minibatch / (0.1 if method == "bn" else 0.03))) / 10
        alone = 0.05 * (config.minibatch == 1 and method == "bn")
        return 0.10 + 0.03 * (method == "bn") + 0.02 * (config.noise == 0) + far + alone
    if activation in ("tanh", "sigmoid"):
        return 0.2 if method == "bn" else 0.9
    if "inference" in cell:
        return 0.3 if "batch_" in cell else 0.2
    return {("none", 0.01): 0.3, ("none", 0.1): 0.9, ("bn", 0.1): 0.2}.get((method, lr), 0.25)


def write_tables(folder, study):
    curves, gains, steps, summary = [], [], [], []
    for cell in cells(study):
        config = compose_cell([f"cell={cell}"])
        method, network = config.method["name"], config.network
        final, slow = as_the_papers_say(cell, config), 1 if "after" not in cell else 3
        settings = {
            "cell": cell, "method": method, "network": network.name, "activation": network.activation, "width": network.width,
            "minibatch": config.minibatch, "lr": config.lr, "noise": config.noise, "status": "finished",
        }  # fmt: skip
        for seed in SEEDS:
            run = {**settings, "seed": seed}
            seconds = 100.0 - (method == "scale")
            summary.append({**run, "final_error": final + 0.002 * seed, "seconds": seconds, "parameters": 900 + (method == "bn")})
            for epoch in range(EPOCHS + 1):
                left = max(0, 1 - slow * epoch / EPOCHS)
                error = final + 0.002 * seed + left * (0.95 - final)
                loss = 3 * error - 0.5 * (method == "scale")
                place = {**run, "epoch": epoch, "samples_seen": 100 * epoch}
                curves += [{**place, "split": split, "loss": loss, "error": error} for split in ("train", "val")]
                mean = {
                    "alpha": 1 - 0.4 * min(epoch, 1) + 0.01 * epoch, "kernel_mean": 1e-9, "gain": 1.7,
                    "mean_shift": 0.5 if method == "bn" else 0.4,
                }  # fmt: skip
                gains += [
                    {**place, "depth": depth, "quantity": quantity, "mean": value, "min": value - 0.1 * abs(value), "max": 1.1 * value}
                    for quantity, value in mean.items() for depth in range(3)
                ]  # fmt: skip
            steps += [
                {**run, "step": step, "loss": 4.0 if (step, "detach" in cell) == (150, True) else 2 - step / STEPS}
                for step in range(1, STEPS + 1)
            ]
    tables = {"curves.csv": curves, "gains.csv.gz": gains, "steps.csv.gz": steps, "summary.csv": summary}
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / name, index=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    folders = {study: root / study / "painted-desk" for study in ("scale", "zero_mean", "bn")}
    for study, folder in folders.items():
        folder.mkdir(parents=True)
        write_tables(folder, study)
    return folders


@pytest.fixture
def changed(tables, tmp_path):
    """A study's tables with some rows changed."""

    def change(study, table, query, **values):
        for path in tables[study].iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        rows = pd.read_csv(tmp_path / table)
        chosen = rows.query(query).index
        assert len(chosen)
        for column, value in values.items():
            rows.loc[chosen, column] = value
        rows.to_csv(tmp_path / table, index=False)
        return tmp_path

    return change


def verdicts(study, folder):
    return ["**yes**" in answer for answer in STUDIES[study].answers(folder)]


@pytest.mark.parametrize("study, claims", [("scale", 14), ("zero_mean", 8), ("bn", 8)])
def test_the_papers_own_outcome_gives_yes_throughout(tables, study, claims):
    assert verdicts(study, tables[study]) == [True] * claims


ALPHA = "quantity == 'alpha' and network == '{}' and activation == '{}'"


@pytest.mark.parametrize("study, claim, table, query, values", [
    ("scale", 0, "summary.csv", "cell == 'scale_small_cnn_tanh_scale'", {"final_error": 0.34}),
    ("scale", 1, "summary.csv", "cell == 'scale_small_cnn_relu_bn'", {"final_error": 0.27}),
    ("scale", 2, "summary.csv", "cell == 'scale_vgg16_tanh_scale'", {"final_error": 0.16}),
    ("scale", 3, "summary.csv", "cell == 'scale_vgg16_relu_scale'", {"final_error": 0.14}),
    ("scale", 4, "summary.csv", "cell == 'scale_vgg16_tanh_scale'", {"seconds": 101}),
    ("scale", 5, "summary.csv", "cell == 'scale_vgg16_relu_bn'", {"seconds": 90}),
    ("scale", 6, "curves.csv", "cell == 'scale_small_cnn_relu_bn' and split == 'train'", {"loss": 0.1}),
    ("scale", 7, "summary.csv", "cell == 'scale_vgg16_relu_scale'", {"parameters": 901}),
    ("scale", 8, "gains.csv.gz", ALPHA.format("small_cnn", "tanh") + " and epoch == 20", {"mean": 0.5}),
    ("scale", 9, "gains.csv.gz", ALPHA.format("small_cnn", "relu") + " and epoch == 12", {"mean": 0.5}),
    ("scale", 10, "gains.csv.gz", ALPHA.format("vgg16", "tanh") + " and epoch > 0", {"mean": 1.5}),
    ("scale", 11, "gains.csv.gz", ALPHA.format("vgg16", "relu") + " and epoch == 3", {"mean": 0.5}),
    ("scale", 12, "steps.csv.gz", "cell == 'scale_small_cnn_tanh_scale' and step == 100", {"loss": 4.0}),
    ("scale", 13, "summary.csv", "cell == 'scale_small_cnn_tanh_momentum05'", {"final_error": 0.3}),
    ("zero_mean", 0, "summary.csv", "method == 'bn' and noise == 0 and lr == 1", {"final_error": 0.05}),
    ("zero_mean", 1, "summary.csv", "method == 'zero_mean' and noise == 0 and lr == 0.1", {"final_error": 0.05}),
    ("zero_mean", 2, "summary.csv", "method == 'bn' and noise == 0 and lr == 0.03", {"final_error": 0.05}),
    ("zero_mean", 3, "summary.csv", "method == 'zero_mean' and lr > 0.02", {"final_error": 0.9}),
    ("zero_mean", 4, "summary.csv", "method == 'zero_mean' and minibatch == 1", {"final_error": 0.5}),
    ("zero_mean", 5, "summary.csv", "method == 'bn' and minibatch == 1", {"final_error": 0.05}),
    ("zero_mean", 6, "gains.csv.gz", "quantity == 'kernel_mean' and epoch == 7", {"max": 2e-6}),
    ("zero_mean", 7, "gains.csv.gz", "quantity == 'mean_shift' and method == 'zero_mean'", {"mean": 0.6}),
    ("bn", 0, "summary.csv", "cell == 'bn_bn_relu_lr001'", {"final_error": 0.1}),
    ("bn", 1, "curves.csv", "cell == 'bn_recipe_after' and epoch < 20", {"error": 0.9}),
    ("bn", 2, "summary.csv", "cell == 'bn_none_tanh_lr01'", {"final_error": 0.7}),
    ("bn", 3, "summary.csv", "cell == 'bn_bn_sigmoid_lr01'", {"status": "diverged"}),
    ("bn", 4, "summary.csv", "cell == 'bn_none_sigmoid_lr001'", {"final_error": 0.7}),
    ("bn", 5, "summary.csv", "cell == 'bn_bn_small_cnn_sigmoid_lr001'", {"final_error": 0.85}),
    ("bn", 7, "summary.csv", "cell == 'bn_inference_batch_minibatch4'", {"final_error": 0.1}),
])  # fmt: skip
def test_each_claim_can_fail(changed, study, claim, table, query, values):
    assert not verdicts(study, changed(study, table, query, **values))[claim]


def test_verdicts_need_seeds_that_do_not_overlap(changed):
    one, other = pd.Series([1.0, 2.0]), pd.Series([2.5, 3.0])
    assert lower(one, other) == "**yes**" and lower(other, one) == "**no**" and lower(one[:1], one[:1]) == lower(one, one)
    assert lower(one, other - 1) == "**cannot tell**, the seeds overlap"
    overlapping = "cell == 'scale_vgg16_tanh_bn' and seed == 0"
    folder = changed("scale", "summary.csv", overlapping, final_error=0.14)
    assert "**cannot tell**" in STUDIES["scale"].answers(folder)[2]
    folder = changed("scale", "summary.csv", "cell == 'scale_small_cnn_tanh_momentum05' and seed == 0", final_error=0.2)
    assert "**cannot tell**" in STUDIES["scale"].answers(folder)[13]


def test_where_nothing_trains_no_rate_is_high(changed):
    folder = changed("zero_mean", "summary.csv", "minibatch == 128", final_error=0.9)
    assert "**not known**, BN trains at none" in STUDIES["zero_mean"].answers(folder)[3]


def test_too_few_steps_tell_nothing_of_spikes(changed):
    folder = changed("scale", "steps.csv.gz", "step > 0", loss=np.nan)
    assert "**cannot tell** from fewer than 50 steps" in STUDIES["scale"].answers(folder)[12]


def test_rates_that_were_not_tried_are_not_known(changed):
    folder = changed("zero_mean", "summary.csv", "method == 'bn' and lr == 0.3", final_error=0.2)
    assert "**not known**, higher rates were not tried" in STUDIES["zero_mean"].answers(folder)[3]


@pytest.mark.parametrize("study", ["scale", "bn"])
def test_a_missing_cell_is_named(tables, tmp_path, study):
    for path in tables[study].iterdir():
        rows = pd.read_csv(path)
        rows[~rows["cell"].isin(["scale_vgg16_relu_bn", "bn_none_tanh_lr01"])].to_csv(tmp_path / path.name, index=False)
    with pytest.raises(MissingCell, match="cell .*(vgg16_relu_bn|none_tanh_lr01): the results do not hold it"):
        STUDIES[study].draw(tmp_path, "Caption.")


def test_papers_values_stand_beside_ours(tables):
    lines = STUDIES["scale"].table([tables["scale"]]).splitlines()
    assert len(lines) == 2 + 8
    (line,) = [line for line in lines if "VGG-16, relu, Scale" in line]
    assert "| precision 87.83%, 7 h 02 min | painted-desk | 12.3% (12.2% to 12.4%) | 87.7% | 1.6 min | 900 |" in line


def test_the_largest_spike_is_measured_against_the_steps_before_it():
    losses = np.full(200, 2.0)
    losses[120] = 6.0
    run = pd.DataFrame({"seed": 0, "step": range(200), "loss": losses})
    assert largest_spike(run) == 3
    assert largest_spike(pd.concat([run, run.assign(seed=1, loss=2.0)])) == 2  # the mean over seeds


def test_scale_draws_loss_error_and_alpha_of_every_pair(tables):
    figures = STUDIES["scale"].draw(tables["scale"], "Caption.")
    curves = pd.read_csv(tables["scale"] / "curves.csv").set_index(["cell", "split", "epoch"]).sort_index()
    axes = np.array(figures["scale"].axes).reshape(4, 3)
    for row, pair in zip(axes, ("small_cnn_tanh", "small_cnn_relu", "vgg16_tanh", "vgg16_relu")):
        for ax, (split, quantity, unit) in zip(row, (("train", "loss", 1), ("val", "error", 100))):
            for line, method in zip(ax.lines, ("bn", "scale")):
                expected = unit * curves.loc[(f"scale_{pair}_{method}", split), quantity].groupby("epoch").mean()
                np.testing.assert_allclose(line.get_ydata(), expected)
                assert line.get_color() == METHOD_COLOURS[method]
        (alpha,) = row[2].lines
        np.testing.assert_allclose(alpha.get_ydata(), [1, *(0.6 + 0.01 * epoch for epoch in range(1, 21))])
        np.testing.assert_allclose(alpha.get_xdata(), range(21))
    errors, _, spikes = figures["momentum"].axes
    assert [line.get_ydata()[0] for line in errors.lines[1::2]] == pytest.approx([34.68, 34.68, 32.68, 34.68, 34.68])
    left_out, within = spikes.lines
    np.testing.assert_allclose(left_out.get_ydata(), [1.995, 1.745, 4.0, 1.245])
    np.testing.assert_allclose(within.get_ydata(), [1.995, 1.745, 1.495, 1.245])


def test_zero_mean_draws_errors_by_rate_and_crosses_what_diverged(changed):
    folder = changed("zero_mean", "summary.csv", "method == 'bn' and noise == 0 and lr == 3 and seed == 1", status="diverged")
    summary = pd.read_csv(folder / "summary.csv")
    figure = STUDIES["zero_mean"].draw(folder, "Caption.")["zero_mean"]
    by_rate, best, by_minibatch, condition, shift, gain = figure.axes
    bn, bn_lost, *others = by_rate.lines
    figure.draw_without_rendering()
    assert all(ax.get_window_extent().height > 200 for ax in figure.axes)  # laid out, nothing collapsed
    np.testing.assert_allclose(bn.get_xdata(), [0.01, 0.03, 0.1, 0.3, 1])
    np.testing.assert_allclose(bn_lost.get_xdata(), [3])
    assert bn_lost.get_marker() == "x" and [line.get_label() for line in others] == ["BN with noise", "Zero-mean", "Zero-mean with noise"]
    chosen = summary.query("method == 'bn' and noise == 0 and minibatch == 128 and lr < 3")
    np.testing.assert_allclose(bn.get_ydata(), 100 * chosen.groupby("lr")["final_error"].mean())
    assert [text.get_text() for text in best.get_legend().get_texts()] == [
        "BN, lr 0.1", "BN with noise, lr 0.1", "Zero-mean, lr 0.03", "Zero-mean with noise, lr 0.03",
    ]  # fmt: skip
    assert [text.get_text() for text in by_minibatch.texts] == ["128\nlr 0.1", "1\nlr 0.00078", "128\nlr 0.03", "1\nlr 0.00023"]
    np.testing.assert_allclose(condition.lines[0].get_ydata(), 1.1e-9)
    assert [line.get_ydata()[0] for line in shift.lines] == [0.5, 0.5, 0.4, 0.4]
    np.testing.assert_allclose(gain.lines[0].get_ydata(), 1.7)


def test_where_all_diverged_the_figure_has_a_cross_and_the_table_says_so(changed):
    folder = changed("zero_mean", "summary.csv", "method == 'bn' and minibatch == 1", status="diverged", final_error=np.nan)
    by_minibatch = STUDIES["zero_mean"].draw(folder, "Caption.")["zero_mean"].axes[2]
    (cross,) = [line for line in by_minibatch.lines if line.get_marker() == "x"]
    assert cross.get_color() == METHOD_COLOURS["bn"] and len(by_minibatch.texts) == 3
    (line,) = [line for line in STUDIES["zero_mean"].table([folder]).splitlines() if "zero_mean_bn_minibatch1.yaml" in line]
    assert "| diverged (2 of 2) |" in line
    assert "**yes**" in STUDIES["zero_mean"].answers(folder)[5]


def test_bn_draws_every_method_and_crosses_what_diverged(changed):
    folder = changed("bn", "summary.csv", "cell == 'bn_agc_relu_lr001'", status="diverged")
    rates, recipe, high, low, bias, inference, methods = STUDIES["bn"].draw(folder, "Caption.")["bn"].axes
    assert [len(ax.lines) for ax in (rates, recipe, high, low, bias)] == [5, 2, 4, 4, 3]
    assert [line.get_ydata()[0] for line in inference.lines[1::2]] == pytest.approx([20.1, 20.1, 30.1])
    (cross,) = [line for line in methods.lines if line.get_marker() == "x"]
    assert cross.get_xdata()[0] == 2 and cross.get_color() == METHOD_COLOURS["agc"]
    assert [label.get_text() for label in methods.get_xticklabels()][:3] == ["none", "BN", "AGC"]
