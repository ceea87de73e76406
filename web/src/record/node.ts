/** The size of an event in the graph of causes and effects, in pixels. */
export const NODE = { width: 200, height: 46 };
