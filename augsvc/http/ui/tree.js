// A pipeline as a tree of nodes: steps, and the steps in containers. No elements here.

import { toEntry, withDefaults } from "./schema.js";

/** Whether an operation of /v1/ops is a container of given steps, which its field `of` lists. */
export const holdsSteps = (operation) => operation.schema.properties?.of?.items?.required?.includes("op") ?? false;

/** The nodes of a specification's entries: { operation, values, open, parent, children }; `children` is null unless it holds steps. */
export function toNodes(entries, operations, parent = null) {
  return entries.map((entry) => {
    const operation = operations.get(entry.op) ?? { name: String(entry.op), kind: "", summary: "", schema: {} };
    const node = { operation, values: withDefaults(operation, entry), open: false, parent, children: null };
    if (holdsSteps(operation)) node.children = toNodes(stepsOf(node.values.of), operations, node);
    return node;
  });
}

/** The steps in the field `of`; a link may hold anything. */
const stepsOf = (value) => (Array.isArray(value) ? value : []).filter((entry) => entry !== null && typeof entry === "object");

/** The reverse of toNodes. */
export function toEntries(nodes) {
  return nodes.map(({ operation, values, children }) => {
    const entry = toEntry(operation, values);
    return children ? { ...entry, of: toEntries(children) } : entry;
  });
}

/** Opens the nodes that were open at the same places of an earlier tree. */
export function keepOpen(nodes, earlier) {
  nodes.forEach((node, i) => {
    const before = earlier[i];
    if (before?.operation.name !== node.operation.name) return;
    node.open = before.open;
    if (node.children && before.children) keepOpen(node.children, before.children);
  });
}

/** The node that an error's path names, and the rest of the path: pipeline.0.of.1.degrees is a child of the first, ["degrees"]. */
export function locate(nodes, path) {
  const [, index, ...rest] = path.split(".");
  let [node, names] = [nodes[Number(index)], rest];
  while (node?.children && names[0] === "of" && node.children[Number(names[1])]) {
    node = node.children[Number(names[1])];
    names = names.slice(2);
  }
  return { node, names };
}

/** Where a new step belongs: a frame first, mixes last, others between them. */
export function positionOf(operation, siblings) {
  if (operation.kind === "frame") return 0;
  if (operation.kind === "mix") return siblings.length;
  const mix = siblings.findIndex((node) => node.operation.kind === "mix");
  return mix < 0 ? siblings.length : mix;
}

/** The container that a node can be moved into: the step before it, else the one after it; frames stay outside. */
export function neighbour(node, siblings) {
  if (node.operation.kind === "frame") return null;
  const index = siblings.indexOf(node);
  return [siblings[index - 1], siblings[index + 1]].find((other) => other?.children) ?? null;
}

/** Whether a node can change places with its neighbour, a step of -1 or 1 away: a frame stays first. */
export function canMove(node, step, siblings) {
  const other = siblings[siblings.indexOf(node) + step];
  return other !== undefined && ![node, other].some(({ operation }) => operation.kind === "frame");
}
