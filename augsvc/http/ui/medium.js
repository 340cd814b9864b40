// In what images and sound differ on the page, by the name of a medium and of its tensor; views of their samples are in media.js.

const IMAGES = {
  variable: "images", // in snippets
  presets: ["none", "light", "standard", "strong", "letters"], preset: "standard",
  fields: ["size", "fit", "channels"], // of a specification
  more: "Fit, channels, seeds, views", // in the settings, beside the canvas or the length
  channels: () => [1, 3],
  columns: [8, 4], // of the contact sheet, wide and narrow
  hasText: false, // whether its drawings have the text colour
  opens: true, // from the gallery
};

const MAX_CHANNELS = 8; // of clips
const AUDIO = {
  variable: "clips",
  presets: ["none", "sound", "speech", "words"], preset: "sound",
  fields: ["seconds", "sample_rate", "channels"],
  more: "Channels, seeds, views",
  /** Those of the dataset, their mean, or copies of one. */
  channels: (own) => (own > 1 ? [1, own] : Array.from({ length: MAX_CHANNELS }, (_, i) => i + 1)),
  columns: [4, 2],
  hasText: true,
  opens: false, // the dataset at the start has images
};

export const MEDIA = { image: IMAGES, audio: AUDIO };

/** The name of the medium of a batch. */
export const mediumOf = (tensors) => Object.keys(MEDIA).find((name) => name in tensors);
