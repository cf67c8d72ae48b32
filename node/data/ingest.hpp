// SPDX-License-Identifier: Apache-2.0
// Files of several kinds as one data set: docs/spec/data.md.
#pragma once

#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/dataset.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::node::data {

inline constexpr size_t kSourceBytesMax = size_t{4} << 30;

struct IngestOptions {
    std::string kind = "text";   ///< text, jsonl, tokens, images or idx
    uint32_t merges = 0;         ///< text and jsonl: of the tokenizer trained on them; 0: bytes
    std::string field = "text";  ///< jsonl: member with the text
    uint32_t vocabulary = 0;     ///< tokens; 0: the largest token + 1
    uint32_t classes = 0;        ///< idx; 0: the largest label + 1
    std::string labels;          ///< idx: file with the labels
};

struct Ingested {
    Bytes blob;
    training::Tokenizer tokenizer;         ///< empty: none was trained
    std::vector<std::string> class_names;  ///< images: names of the folders
};

/// text, jsonl: a file or a folder of files, in name order, each a document (jsonl: each line).
/// tokens: a file of little-endian uint16. images: a folder of PNG images of one size, or with one
/// folder of them per class. idx: the file with the images. The error names the file and the line.
[[nodiscard]] Result<Ingested, std::string> ingest(const std::string& path,
                                                   const IngestOptions& options);

/// The texts of JSON lines, one object each. Error: the number of the line and what is due.
[[nodiscard]] Result<std::vector<std::string>, std::string> read_jsonl(std::string_view lines,
                                                                       const std::string& field);

}  // namespace trainyard::node::data
