// node whole_graph.mjs MODULES GRAPH PICTURE NOISE OUTPUT: runs a whole graph with onnxruntime-node. The files hold
// bare numbers; their shapes are the graph's own, given after them as JSON.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const [modules, graph, picture, noise, output, shapes] = process.argv.slice(2);
const { InferenceSession, Tensor } = createRequire(modules + "/")("onnxruntime-node");
const { picture: pictureShape, noise: noiseShape } = JSON.parse(shapes);
const session = await InferenceSession.create(graph);
const floats = readFileSync(noise);
const { restored } = await session.run({
  picture: new Tensor("uint8", readFileSync(picture), pictureShape),
  noise: new Tensor("float32", new Float32Array(floats.buffer, floats.byteOffset, floats.length / 4), noiseShape),
});
writeFileSync(output, restored.data);
console.log(JSON.stringify(restored.dims));
