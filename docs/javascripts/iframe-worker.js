// Search without a server: browsers start no worker from a file, so its script runs in a hidden
// frame instead, which takes and gives messages as the worker would.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      const script = new URL(address, document.baseURI).href;
      this.frame.srcdoc = `<script>
        window.postMessage = (message) => parent.postMessage(message, "*");
        window.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
          const element = document.createElement("script");
          element.src = url;
          element.onload = done;
          document.head.append(element);
        })), Promise.resolve());
      <\/script><script src="${script}"><\/script>`;
      this.started = new Promise((done) => { this.frame.onload = done; });
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const copy = new MessageEvent("message", {data: event.data});
        this.dispatchEvent(copy);
        if (this.onmessage) this.onmessage(copy);
      });
      document.body.append(this.frame);
    }

    postMessage(message) {
      this.started.then(() => {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new inside.MessageEvent("message", {data: message}));
      });
    }

    terminate() {
      this.frame.remove();
    }
  };
}
