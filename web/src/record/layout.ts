import dagre from '@dagrejs/dagre';
import type { Graph } from '../lib/events.ts';
import { NODE } from './node.ts';

export interface Placed {
  width: number;
  height: number;
  nodes: Map<string, { x: number; y: number }>;
  edges: { from: string; to: string; points: { x: number; y: number }[] }[];
}

/** Puts causes above their effects. Positions are those of the nodes' upper left corners. */
export function layout(graph: Graph): Placed {
  const drawing = new dagre.graphlib.Graph();
  drawing.setGraph({ rankdir: 'TB', nodesep: 18, ranksep: 34, marginx: 4, marginy: 4 });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawing.setNode(node.position, { ...NODE });
  for (const edge of graph.edges) drawing.setEdge(edge.cause, edge.effect);
  dagre.layout(drawing);
  const nodes = new Map(
    graph.nodes.map(({ position }) => {
      const { x, y } = drawing.node(position);
      return [position, { x: x - NODE.width / 2, y: y - NODE.height / 2 }];
    }),
  );
  const edges = drawing.edges().map((edge) => ({ from: edge.v, to: edge.w, points: drawing.edge(edge).points ?? [] }));
  const { width = 0, height = 0 } = drawing.graph() as { width?: number; height?: number };
  return { width, height, nodes, edges };
}
