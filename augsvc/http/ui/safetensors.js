// The bytes of a batch: u64 header length │ JSON header │ tensors. Every tensor becomes a view, nothing is copied.

const VIEWS = {
  BOOL: Uint8Array, U8: Uint8Array, I8: Int8Array, U16: Uint16Array, I16: Int16Array, U32: Uint32Array, I32: Int32Array,
  F32: Float32Array, U64: BigUint64Array, I64: BigInt64Array, F64: Float64Array,
};
const MAX_HEADER_BYTES = 1 << 20;

/** { tensors: { name: { dtype, shape, data } }, metadata }; throws an Error for what is not one well-formed body. */
export function parse(buffer) {
  if (buffer.byteLength < 8) throw new Error("the batch is cut short");
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || length > buffer.byteLength - 8) throw new Error("the batch is cut short");
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    tensors[name] = { dtype, shape, data: view(buffer, dtype, shape, 8 + length + begin, 8 + length + end) };
  }
  return { tensors, metadata };
}

function view(buffer, dtype, shape, begin, end) {
  const View = VIEWS[dtype];
  if (!View) throw new Error(`the batch has a dtype that this page does not read: ${dtype}`);
  const count = shape.reduce((product, side) => product * side, 1);
  if (end > buffer.byteLength || end - begin !== count * View.BYTES_PER_ELEMENT) throw new Error("the batch is malformed");
  if (begin % View.BYTES_PER_ELEMENT) return new View(buffer.slice(begin, end)); // another writer's: not aligned
  return new View(buffer, begin, count);
}

/** Sample `at` of a tensor [N, …]: a view of its numbers, int64 as Numbers. */
export function row(tensor, at) {
  const size = tensor.shape.slice(1).reduce((product, side) => product * side, 1);
  const part = tensor.data.subarray(at * size, (at + 1) * size);
  return part instanceof BigInt64Array || part instanceof BigUint64Array ? Array.from(part, Number) : part;
}
