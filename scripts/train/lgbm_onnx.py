"""Boosters of all leads and both heads as one ONNX graph of tree ensembles that decides as LightGBM does."""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

HEADS = ("centre", "residual")
PARITY_ROWS, PARITY = 10_000, 1e-6
ML_OPSET, OPSET = 3, 17


def write_onnx(boosters: dict, features: int, path: str):
    """boosters: by head, one per lead, None for a constant 0. Inputs are floats of 32 bits; NaN is a missing value."""
    nodes = [ensemble(head, boosters[head]) for head in HEADS]
    leads = len(boosters["centre"])
    graph = helper.make_graph(
        nodes, "lgbm",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info(head, TensorProto.FLOAT, ["batch", leads]) for head in HEADS],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    with open(f"{path}.part", "wb") as file:
        file.write(model.SerializeToString())
    os.replace(f"{path}.part", path)


def ensemble(head: str, boosters: list):
    """One operator: a lead is a target, to which the trees of its booster add up; without trees it stays 0."""
    nodes, leaves, tree = [], [], 0
    for lead, booster in enumerate(boosters):
        for dumped in booster.dump_model()["tree_info"] if booster is not None else []:
            add_tree(dumped["tree_structure"], tree, lead, nodes, leaves)
            tree += 1
    if tree == 0:
        # An ensemble needs a tree.
        add_tree({"leaf_value": 0.0}, 0, 0, nodes, leaves)
    columns = dict(zip(("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true"), zip(*nodes)))
    targets = dict(zip(("treeids", "nodeids", "ids", "weights"), zip(*leaves)))
    return helper.make_node(
        "TreeEnsembleRegressor", ["features"], [head], domain="ai.onnx.ml", n_targets=len(boosters),
        aggregate_function="SUM", post_transform="NONE",
        **{f"nodes_{name}": list(values) for name, values in columns.items()},
        **{f"target_{name}": list(values) for name, values in targets.items()},
    )  # fmt: skip


def add_tree(node: dict, tree: int, lead: int, nodes: list, leaves: list) -> int:
    """Appends the node and all below it; returns its number, which is unique within the tree."""
    number = sum(1 for own in nodes if own[0] == tree)
    if "split_feature" not in node:
        nodes.append((tree, number, 0, 0.0, "LEAF", 0, 0, 0))
        leaves.append((tree, number, lead, float(node["leaf_value"])))
        return number
    if node["decision_type"] != "<=":
        raise ValueError(f"expected splits by <=, was {node['decision_type']}")
    threshold = float(node["threshold"])
    # Where training saw nothing missing, LightGBM takes NaN for 0.
    left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
    at = len(nodes)
    nodes.append(None)
    nodes[at] = (tree, number)
    yes = add_tree(node["left_child"], tree, lead, nodes, leaves)
    no = add_tree(node["right_child"], tree, lead, nodes, leaves)
    nodes[at] = (tree, number, int(node["split_feature"]), rounded_down(threshold), "BRANCH_LEQ", yes, no, int(left))
    return number


#: LightGBM takes anything nearer to zero for zero, and splits "below zero" at minus this.
ZERO = np.float32(1e-35)


def rounded_down(threshold: float) -> float:
    """The largest float of 32 bits not above: x <= it exactly where LightGBM goes left, for any float x."""
    nearest = np.float32(threshold)
    if nearest == -ZERO:
        return float(np.nextafter(nearest, np.float32(-np.inf)))
    return float(np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > threshold else nearest)


def check_parity(path: str, boosters: dict, rows: np.ndarray, seed: int) -> float:
    """
    Largest difference between the file's answers and LightGBM's on PARITY_ROWS rows: real ones, drawn again with values
    of other rows mixed in, some of them exactly at thresholds, and a tenth of all values missing. Raises above PARITY.
    """
    random = np.random.default_rng(seed)
    mixed = rows[random.integers(0, len(rows), (PARITY_ROWS, rows.shape[1])), np.arange(rows.shape[1])].astype(np.float32)
    for feature, value in at_thresholds(boosters):
        mixed[random.integers(0, PARITY_ROWS, 3), feature] = value
    mixed[random.random(mixed.shape) < 0.1] = np.nan
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for head, answers in zip(HEADS, session.run(list(HEADS), {"features": mixed})):
        for lead, booster in enumerate(boosters[head]):
            expected = np.zeros(PARITY_ROWS) if booster is None else booster.predict(mixed.astype(float))
            worst = max(worst, float(np.abs(answers[:, lead] - expected).max()))
    if not worst <= PARITY:
        raise ValueError(f"{path}: expected LightGBM's own predictions to {PARITY}, was {worst} off")
    return worst


def at_thresholds(boosters: dict):
    """Feature and the floats on either side of each threshold."""
    below = [dumped["tree_structure"] for own in boosters.values() for one in own if one is not None for dumped in one.dump_model()["tree_info"]]
    while below:
        node = below.pop()
        if "split_feature" not in node:
            continue
        below += [node["left_child"], node["right_child"]]
        at = np.float32(rounded_down(float(node["threshold"])))
        yield from ((node["split_feature"], value) for value in (at, np.nextafter(at, np.float32(np.inf))))
