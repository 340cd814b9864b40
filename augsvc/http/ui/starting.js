// The page while the server starts: how far it is, as its errors of code `starting` say.

import { $, announce } from "./dom.js";

const STEPS = { kernels: "Compiling kernels", self_test: "Self-test" };

/** Shows how far the start is; `progress` is { step, done, total, seconds_left, kept }, or null if the server does not say. */
export function showStarting(progress) {
  const { step, done = 0, total = 0, seconds_left: seconds = null, kept = true } = progress ?? {};
  if ($("#starting").hidden) announce("The server is starting.");
  const count = total ? ` ${done} of ${total}` : "";
  const left = seconds === null ? "" : `, about ${formatSeconds(seconds)} left`;
  $("#starting-text").textContent = `${STEPS[step] ?? "Starting"}${count}${left}`;
  $("#starting-note").hidden = step !== "kernels" || !kept;
  if (total) Object.assign($("#starting-bar"), { max: total, value: done });
  else $("#starting-bar").removeAttribute("value"); // indeterminate
  $("#server").textContent = "Starting …";
  $("#starting").hidden = false;
}

export const hideStarting = () => {
  $("#starting").hidden = true;
};

const formatSeconds = (seconds) => (seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`);
