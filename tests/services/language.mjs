// Prints what GitHub's language service finds wrong in workflows and actions: `FILE:LINE: message`.
import { readFileSync } from "node:fs";
import { validate } from "@actions/languageservice";
import { TextDocument } from "vscode-languageserver-textdocument";

async function main(paths) {
  for (const path of paths) {
    const text = readFileSync(path, "utf8");
    const document = TextDocument.create(`file://${path}`, "yaml", 1, text);
    for (const found of await validate(document)) {
      console.log(`${path}:${found.range.start.line + 1}: ${found.message}`);
    }
  }
}

main(process.argv.slice(2));
