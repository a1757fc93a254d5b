// The engine behind its messages: trains in slices of time, at the speed asked for, and reports.

import { nextMoment, run, verdict } from "./run.js";

const SLICE = 12; // milliseconds of training before messages are heard
const BETWEEN = 30; // milliseconds between two frames

/** Answers messages: start, go, pause, step, set, ack. Every answer is a `frame` with what has been
 *  kept since the last; the next one waits for its `ack`, so that a busy page is never swamped.
 *
 *  `post` takes a frame, `clock` gives milliseconds, `later(act, wait)` calls `act` in `wait` of them. */
export class Core {
  constructor(post, clock, later) {
    this.post = post;
    this.clock = clock;
    this.later = later;
    this.runs = [];
    this.id = 0;
    this.kept = []; // the moments of each run
    this.fresh = []; // those that no frame has brought yet
    this.due = 0; // the step at which the next moment is kept
    this.going = false;
    this.reason = ""; // why it has stopped
    this.ignore = 0; // up to this step it does not stop by itself again
    this.speed = Infinity; // steps each second
    this.stopAt = 0;
    this.rate = 0; // steps each second, as measured
    this.began = 0; // when, and at which step, this stretch of training began
    this.beganAt = 0;
    this.waiting = false; // for the ack of the last frame
    this.posted = 0;
    this.scheduled = false;
  }

  get step() {
    return this.runs.length ? Math.max(...this.runs.map(({ state }) => state.step)) : 0;
  }

  handle(message) {
    if (message.type === "start") this.start(message);
    else if (message.type === "go") this.go(message);
    else if (message.type === "pause") {
      if (this.going) this.halt("paused");
      this.rate = 0;
      this.send();
    } else if (message.type === "step") {
      this.halt("paused");
      for (let n = 0; n < message.count; n += 1) this.forwardTo(this.step + 1, Infinity);
      this.send();
    } else if (message.type === "set") {
      for (const { at, name, value } of message.changes) this.runs[at].set(name, value);
      if (!this.going) this.send();
    } else if (message.type === "ack") this.waiting = false;
  }

  start({ id, runs }) {
    this.id = id;
    this.runs = runs.map(({ settings, given }) => run(settings, given));
    [this.kept, this.fresh] = [runs.map(() => []), runs.map(() => [])];
    [this.going, this.due, this.reason, this.rate, this.ignore] = [false, 0, "", 0, 0];
    this.keep();
    this.send();
  }

  go({ speed, stopAt }) {
    // Who goes on after a stop wants to see more: half as many steps again before the next.
    if (this.reason && this.reason !== "paused") this.ignore = 1.5 * this.step;
    [this.speed, this.stopAt] = [speed || Infinity, stopAt > this.step ? stopAt : 0];
    [this.going, this.reason, this.began, this.beganAt] = [true, "", this.clock(), this.step];
    this.schedule(0);
  }

  halt(why) {
    this.going = false;
    this.reason = why;
  }

  keep() {
    this.runs.forEach((one, r) => {
      if (one.state.dead) return;
      const moment = one.look();
      this.kept[r].push(moment);
      this.fresh[r].push(moment);
    });
    this.due = nextMoment(this.step);
  }

  send() {
    this.waiting = true;
    this.posted = this.clock();
    const { id, step, fresh, going, reason, rate } = this;
    this.post({
      type: "frame", id, step, moments: fresh, going, reason, rate,
      now: this.runs.map((one, r) => (
        this.kept[r].at(-1).step === one.state.step ? null : one.look())),
      changes: this.runs.map(({ state }) => state.changes),
    });
    this.fresh = this.runs.map(() => []);
  }

  /** Trains up to step `end`, unless the clock comes to `until` or there is a reason to stop. */
  forwardTo(end, until) {
    if (this.runs.every(({ state }) => state.dead)) { // they take no steps any more
      this.halt("diverged");
      return;
    }
    while (this.step < end && this.clock() < until) {
      for (const one of this.runs) one.step();
      if (this.step >= this.due) {
        this.keep();
        const found = this.kept.map(verdict);
        if (found.every((why) => why) && (this.step >= this.ignore || found.includes("diverged"))) {
          this.halt([...new Set(found)].join(" and "));
          return;
        }
      }
      if (this.stopAt && this.step === this.stopAt) {
        this.halt("asked");
        return;
      }
    }
  }

  schedule(wait) {
    if (this.scheduled) return;
    this.scheduled = true;
    this.later(() => this.slice(), wait);
  }

  slice() {
    this.scheduled = false;
    if (!this.going) return;
    const now = this.clock();
    let target = this.beganAt + (this.speed * (now - this.began)) / 1000;
    // What was missed while the machine was busy is not made up for in a burst.
    if (target > this.step + this.speed) {
      target = this.step + 1;
      [this.began, this.beganAt] = [now, this.step];
    }
    this.forwardTo(target, now + SLICE);
    if (now > this.began + 300) {
      this.rate = ((this.step - this.beganAt) / (this.clock() - this.began)) * 1000;
    }
    if (!this.going || (!this.waiting && this.clock() - this.posted > BETWEEN)) this.send();
    this.schedule(this.step < target ? 0 : 8);
  }
}
