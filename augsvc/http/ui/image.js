// Drawing images from the bytes of a batch: uint8 → a canvas of the same size, enlarged by CSS without smoothing.

/** Sample `index` of an image tensor as ImageData: RGBA, opaque. */
export function toImageData(tensor, index, layout) {
  const [, a, b, c] = tensor.shape;
  const [channels, height, width] = layout === "NHWC" ? [c, a, b] : [a, b, c];
  const size = height * width;
  const source = tensor.data.subarray(index * size * channels, (index + 1) * size * channels);
  const image = new ImageData(width, height);
  const [pixelStride, channelStride] = layout === "NHWC" ? [channels, 1] : [1, size];
  for (let pixel = 0; pixel < size; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const sourceChannel = channels === 1 ? 0 : channel;
      image.data[4 * pixel + channel] = source[pixel * pixelStride + sourceChannel * channelStride];
    }
    image.data[4 * pixel + 3] = 255;
  }
  return image;
}

/** Draws the pixels on the canvas, one to one. */
export function drawImage(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
