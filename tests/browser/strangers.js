// What of a page no template can have made, and what ran of it.
([tags, scripts]) => {
  const strange = window.__pwned === undefined ? [] : [`ran: ${window.__pwned}`];
  for (const element of document.querySelectorAll("*")) {
    const tag = element.localName;
    if (!tags.includes(tag)) strange.push(tag);
    if (tag === "script" && !scripts.includes(element.getAttribute("src"))) strange.push("script");
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on") || ["style", "srcdoc", "formaction", "autofocus"].includes(name)) strange.push(`${tag} ${name}`);
      if (["href", "src", "action", "hx-get"].includes(name)) {
        const url = new URL(value, location.href);
        if (url.origin !== location.origin) strange.push(`${tag} ${name}=${value}`);
      }
    }
  }
  return strange;
}
