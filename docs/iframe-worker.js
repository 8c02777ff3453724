// The search runs in a Worker, and a page that was opened from a folder (file://) may not start one. There, this class stands in for
// Worker: it runs the script in a hidden frame and passes messages on. On a server it does nothing. Zensical would fetch such a
// script from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inside = this.frame.contentWindow;
      this.inside.document.open();
      this.inside.document.write("<!doctype html><body></body>");
      this.inside.document.close();
      this.inside.postMessage = (data) => setTimeout(() => this.tell(new MessageEvent("message", { data })));
      const script = this.inside.document.createElement("script");
      this.loaded = new Promise((resolve) => {
        script.onload = resolve;
        script.onerror = () => this.tell(new ErrorEvent("error", { message: `${url} cannot be loaded` }));
      });
      script.src = url;
      this.inside.document.body.append(script);
    }

    tell(event) {
      this.dispatchEvent(event);
      this[`on${event.type}`]?.(event);
    }

    postMessage(data) {
      this.loaded.then(() => this.inside?.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })));
    }

    terminate() {
      this.frame.remove();
      this.inside = null;
    }
  };
}
