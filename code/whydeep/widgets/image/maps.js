// Images as numbers: {channels, height, width, values}. Read from a buffer, filtered, pooled, moved, compared.

import { unpack } from "../kit/numbers.js";

/** The images that one buffer holds one after the other, as `specs` describe them. */
export function imagesOf(view, specs) {
  let start = 0;
  return specs.map((spec) => {
    const values = unpack(new DataView(view.buffer, view.byteOffset + start, spec.bytes), spec);
    start += spec.bytes;
    const size = spec.channels * spec.height * spec.width;
    return [...Array(values.length / size).keys()].map((i) => ({
      channels: spec.channels, height: spec.height, width: spec.width,
      values: values.subarray(i * size, (i + 1) * size),
    }));
  });
}

/** How many places a patch of `size` has along a side of `length`, `stride` pixels apart. */
export function places(length, size, stride) {
  return Math.floor((length - size) / stride) + 1;
}

/** The feature map of a picture under a filter: at each place where the filter fits into it, the sum
 *  over channels and pixels of filter times picture (PyTorch's conv2d without padding). */
export function correlate(picture, filter, stride = 1) {
  const height = places(picture.height, filter.height, stride);
  const width = places(picture.width, filter.width, stride);
  const values = new Float64Array(height * width);
  for (let k = 0; k < filter.channels; k += 1) {
    for (let i = 0; i < filter.height; i += 1) {
      for (let j = 0; j < filter.width; j += 1) {
        const weight = filter.values[(k * filter.height + i) * filter.width + j];
        for (let r = 0; r < height; r += 1) {
          const from = (k * picture.height + r * stride + i) * picture.width + j;
          for (let c = 0; c < width; c += 1) {
            values[r * width + c] += weight * picture.values[from + c * stride];
          }
        }
      }
    }
  }
  return { channels: 1, height, width, values };
}

/** The matrix W of one channel, as an image: with the pixels of a picture in its rows and the places
 *  of a filter in its columns, W transposed times picture is the picture's feature map. */
export function matrixOf(picture, filter, stride) {
  const down = places(picture.height, filter.height, stride);
  const across = places(picture.width, filter.width, stride);
  const [height, width] = [picture.height * picture.width, down * across];
  const values = new Float64Array(height * width);
  for (let unit = 0; unit < width; unit += 1) {
    const [top, left] = [Math.floor(unit / across) * stride, (unit % across) * stride];
    for (let i = 0; i < filter.height; i += 1) {
      for (let j = 0; j < filter.width; j += 1) {
        const pixel = (top + i) * picture.width + left + j;
        values[pixel * width + unit] = filter.values[i * filter.width + j];
      }
    }
  }
  return { channels: 1, height, width, values };
}

/** The image moved by whole pixels, zeros moving in. */
export function moved(image, down, right) {
  const { channels, height, width } = image;
  const values = new Float64Array(image.values.length);
  for (let k = 0; k < channels; k += 1) {
    for (let r = Math.max(0, down); r < Math.min(height, height + down); r += 1) {
      for (let c = Math.max(0, right); c < Math.min(width, width + right); c += 1) {
        values[(k * height + r) * width + c] = (
          image.values[(k * height + r - down) * width + c - right]
        );
      }
    }
  }
  return { ...image, values };
}

/** One number for each window of a feature map: its maximum or its average. */
export function pooled(map, { kind, size, stride }) {
  const [height, width] = [places(map.height, size, stride), places(map.width, size, stride)];
  const values = new Float64Array(height * width);
  for (let r = 0; r < height; r += 1) {
    for (let c = 0; c < width; c += 1) {
      let [most, sum] = [-Infinity, 0];
      for (let i = 0; i < size; i += 1) {
        for (let j = 0; j < size; j += 1) {
          const value = map.values[(r * stride + i) * map.width + c * stride + j];
          most = Math.max(most, value);
          sum += value;
        }
      }
      values[r * width + c] = kind === "maximum" ? most : sum / (size * size);
    }
  }
  return { channels: 1, height, width, values };
}

/** What has changed from one map to another: value by value, how many by more than a hundredth of
 *  the largest magnitude, and all together as a share of the first map. */
export function changes(before, after) {
  const values = after.values.map((value, i) => value - before.values[i]);
  const least = magnitude(before) / 100;
  const total = (all) => all.reduce((sum, value) => sum + Math.abs(value), 0);
  return {
    image: { ...after, values },
    count: values.filter((value) => Math.abs(value) > least).length,
    share: total(values) / (total(before.values) || 1),
  };
}

/** The image with every value below zero set to zero. */
export function rectify(image) {
  return { ...image, values: image.values.map((value) => Math.max(0, value)) };
}

/** The largest magnitude among an image's values; 1 for an image that is zero everywhere. */
export function magnitude({ values }) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
}

/** Lowest, highest (each with its place), mean and share above zero of an image's values. */
export function extent({ values }) {
  let [low, high, sum, above] = [0, 0, 0, 0];
  values.forEach((value, i) => {
    if (value < values[low]) low = i;
    if (value > values[high]) high = i;
    sum += value;
    if (value > 0) above += 1;
  });
  return { low, high, mean: sum / values.length, above: above / values.length };
}
