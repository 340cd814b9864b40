// Reading safetensors: u64 header length │ JSON header │ tensors. Every tensor is a view; nothing is copied.

const VIEWS = {
  BOOL: Uint8Array, U8: Uint8Array, I8: Int8Array, U16: Uint16Array, I16: Int16Array, U32: Uint32Array, I32: Int32Array,
  F32: Float32Array, U64: BigUint64Array, I64: BigInt64Array, F64: Float64Array,
};
const MAX_HEADER_BYTES = 1 << 20;

/** { tensors: { name: { dtype, shape, data } }, metadata }; throws an Error if the body is malformed. */
export function parse(buffer) {
  if (buffer.byteLength < 8) throw new Error("the batch is truncated");
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || length > buffer.byteLength - 8) throw new Error("the batch is truncated");
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    tensors[name] = { dtype, shape, data: view(buffer, dtype, shape, 8 + length + begin, 8 + length + end) };
  }
  return { tensors, metadata };
}

function view(buffer, dtype, shape, begin, end) {
  const View = VIEWS[dtype];
  if (!View) throw new Error(`unsupported dtype: ${dtype}`);
  const count = shape.reduce((product, side) => product * side, 1);
  if (end > buffer.byteLength || end - begin !== count * View.BYTES_PER_ELEMENT) throw new Error("the batch is malformed");
  if (begin % View.BYTES_PER_ELEMENT) return new View(buffer.slice(begin, end)); // not aligned: written by another library
  return new View(buffer, begin, count);
}

/** The tensors of view k of a batch with several views of each sample: `image1` is the image of view 1; others are common. */
export function ofView(tensors, k) {
  if (k === 0) return tensors;
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, tensors[`${name}${k}`] ?? tensor]));
}

/** Sample `index` of a tensor [N, …]: a view of its values, int64 as Numbers. */
export function row(tensor, index) {
  const size = tensor.shape.slice(1).reduce((product, side) => product * side, 1);
  const values = tensor.data.subarray(index * size, (index + 1) * size);
  return values instanceof BigInt64Array || values instanceof BigUint64Array ? Array.from(values, Number) : values;
}
