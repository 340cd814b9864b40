// A picture is the batch's own bytes: uint8 → a canvas of the same size, enlarged by CSS without smoothing.

/** The height, width and pixels of sample `at`; RGBA, opaque. */
export function pixels(tensor, at, layout) {
  const [, a, b, c] = tensor.shape;
  const [channels, height, width] = layout === "NHWC" ? [c, a, b] : [a, b, c];
  const size = height * width;
  const from = tensor.data.subarray(at * size * channels, (at + 1) * size * channels);
  const image = new ImageData(width, height);
  const [alongPixel, alongChannel] = layout === "NHWC" ? [channels, 1] : [1, size];
  for (let place = 0; place < size; place += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const which = channels === 1 ? 0 : channel;
      image.data[4 * place + channel] = from[place * alongPixel + which * alongChannel];
    }
    image.data[4 * place + 3] = 255;
  }
  return image;
}

/** Puts the pixels on the canvas, one for one. */
export function draw(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
