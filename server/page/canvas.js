// Drawing that is sharp on every screen and follows the page's colours.

/** Prepares a canvas whose size is in CSS pixels; returns its context with width and height. */
export function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Says why there is nothing to see. */
export function drawText(context, text, width, height, ink) {
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = ink;
  context.fillText(text, width / 2, height / 2);
}

/** A colour as the style sheet resolves it for an element, in light or dark. */
export function colour(element, property = "background-color") {
  return getComputedStyle(element).getPropertyValue(property);
}

/** Draws at most once a frame, and again when size or colours change. */
export function redrawing(canvas, draw) {
  let asked = false;
  const ask = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
  new ResizeObserver(ask).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ask);
  new MutationObserver(ask).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return ask;
}
