// SPDX-License-Identifier: Apache-2.0
// Reads the sources, bounded, and hands them to the writers of data sets.
#include "node/data/ingest.hpp"

#include <algorithm>
#include <filesystem>

#include "node/data/png.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::data {
namespace {

namespace fs = std::filesystem;
constexpr size_t kImageFileBytesMax = size_t{64} << 20;
constexpr size_t kImagesMax = size_t{1} << 24;

bool is_folder(const std::string& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}
/// Links are left out: they would bring the same content twice.
bool is_file(const std::string& path) {
    std::error_code ignored;
    return !fs::is_symlink(path, ignored) && fs::is_regular_file(path, ignored);
}

struct NamedFile {
    std::string path;
    Bytes content;
};
/// The file itself, or the files of the folder in name order.
Result<std::vector<NamedFile>, std::string> read_files(const std::string& path) {
    std::vector<std::string> names;
    if (is_folder(path)) {
        for (const auto& name : wallet::list_folder(path))
            if (is_file(path + "/" + name)) names.push_back(path + "/" + name);
    } else {
        names.push_back(path);
    }
    std::vector<NamedFile> out;
    size_t room = kSourceBytesMax;
    for (const auto& name : names) {
        auto content = wallet::read_file(name, room);
        if (!content) return unexpected(content.error().text);
        room -= content->size();
        if (!content->empty()) out.push_back({name, std::move(*content)});
    }
    if (out.empty()) return unexpected("'" + path + "' holds no data");
    return out;
}

Bytes joined(const std::vector<Bytes>& documents) {
    Bytes out;
    for (const Bytes& d : documents) append(out, d);
    return out;
}

/// Documents as tokens; `merges` = 0 keeps bytes as tokens.
Ingested tokenised(const std::vector<Bytes>& documents, uint32_t merges) {
    Ingested out;
    if (merges > 0) out.tokenizer = training::train_tokenizer(joined(documents), merges);
    std::vector<uint16_t> tokens;
    std::vector<uint64_t> starts;
    for (const Bytes& d : documents) {
        starts.push_back(tokens.size());
        const auto more = training::encode_text(out.tokenizer, d);
        tokens.insert(tokens.end(), more.begin(), more.end());
    }
    out.blob = training::make_token_dataset(tokens, starts, training::vocabulary_of(out.tokenizer));
    return out;
}

Result<Ingested, std::string> ingest_text(const std::string& path, const IngestOptions& o) {
    auto files = read_files(path);
    if (!files) return unexpected(files.error());
    std::vector<Bytes> documents;
    for (NamedFile& file : *files) documents.push_back(std::move(file.content));
    if (o.merges > 0) return tokenised(documents, o.merges);
    Ingested out;
    out.blob = joined(documents);
    return out;
}

Result<Ingested, std::string> ingest_jsonl(const std::string& path, const IngestOptions& o) {
    auto files = read_files(path);
    if (!files) return unexpected(files.error());
    std::vector<Bytes> documents;
    for (const auto& [name, content] : *files) {
        const auto texts = read_jsonl(as_text(content), o.field);
        if (!texts) return unexpected(name + ":" + texts.error());
        for (const std::string& text : *texts) {
            const BytesView bytes = as_bytes(text);
            if (bytes.empty()) continue;
            documents.emplace_back(bytes.begin(), bytes.end());
            documents.back().push_back('\n');
        }
    }
    if (documents.empty()) return unexpected("'" + path + "' holds no text");
    return tokenised(documents, o.merges);
}

Result<Ingested, std::string> ingest_tokens(const std::string& path, const IngestOptions& o) {
    const auto file = wallet::read_file(path, kSourceBytesMax);
    if (!file) return unexpected(file.error().text);
    if (file->empty() || file->size() % 2 != 0)
        return unexpected("'" + path + "' has " + std::to_string(file->size()) +
                          " bytes; uint16 tokens need an even number");
    std::vector<uint16_t> tokens;
    for (size_t i = 0; i < file->size(); i += 2) tokens.push_back(load_le<uint16_t>(&(*file)[i]));
    const uint32_t largest = *std::max_element(tokens.begin(), tokens.end());
    Ingested out;
    out.blob =
        training::make_token_dataset(tokens, {0}, o.vocabulary == 0 ? largest + 1 : o.vocabulary);
    return out;
}

/// Adds the PNG images of one folder.
Result<Done, std::string> add_images(std::vector<training::Image>& to, const std::string& folder,
                                     uint32_t label) {
    for (const auto& name : wallet::list_folder(folder)) {
        const std::string path = folder + "/" + name;
        if (!is_file(path) || !name.ends_with(".png")) continue;
        if (to.size() == kImagesMax) return unexpected("more than 2^24 images in '" + folder + "'");
        const auto file = wallet::read_file(path, kImageFileBytesMax);
        if (!file) return unexpected(file.error().text);
        auto image = read_png(*file, training::DatasetLimits::side_max);
        if (!image) return unexpected("'" + path + "': " + image.error());
        image->label = label;
        const auto& first = to.empty() ? *image : to.front();
        if (image->height != first.height || image->width != first.width ||
            image->channels != first.channels)
            return unexpected("'" + path +
                              "' has another size or number of channels than the "
                              "first image");
        to.push_back(std::move(*image));
    }
    return Done{};
}

Result<Ingested, std::string> finish_images(const std::string& path,
                                            const std::vector<training::Image>& images,
                                            uint32_t classes) {
    auto blob = training::make_image_dataset(images, classes);
    if (!blob) return unexpected("'" + path + "': " + training::to_text(blob.error()));
    Ingested out;
    out.blob = std::move(*blob);
    return out;
}

Result<Ingested, std::string> ingest_images(const std::string& path) {
    if (!is_folder(path)) return unexpected("'" + path + "' is not a folder of PNG images");
    std::vector<training::Image> images;
    std::vector<std::string> classes;
    for (const auto& name : wallet::list_folder(path)) {
        if (!is_folder(path + "/" + name)) continue;
        classes.push_back(name);
        auto added =
            add_images(images, path + "/" + name, static_cast<uint32_t>(classes.size() - 1));
        if (!added) return unexpected(added.error());
    }
    if (classes.empty())
        if (auto added = add_images(images, path, 0); !added) return unexpected(added.error());
    const auto count = static_cast<uint32_t>(std::max<size_t>(1, classes.size()));
    auto out = finish_images(path, images, count);
    if (out) out->class_names = std::move(classes);
    return out;
}

Result<Ingested, std::string> ingest_idx(const std::string& path, const IngestOptions& o) {
    if (o.labels.empty()) return unexpected("IDX images need --labels, the file with the labels");
    const auto images = wallet::read_file(path, kSourceBytesMax);
    if (!images) return unexpected(images.error().text);
    const auto labels = wallet::read_file(o.labels, kSourceBytesMax);
    if (!labels) return unexpected(labels.error().text);
    const auto read = training::read_idx(*images, *labels);
    if (!read) return unexpected("'" + path + "': " + training::to_text(read.error()));
    uint32_t classes = o.classes;
    if (classes == 0)
        for (const auto& image : *read) classes = std::max(classes, image.label + 1);
    return finish_images(path, *read, classes);
}

}  // namespace

Result<std::vector<std::string>, std::string> read_jsonl(std::string_view lines,
                                                         const std::string& field) {
    std::vector<std::string> out;
    for (size_t number = 1; !lines.empty(); ++number) {
        const size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (line.find_first_not_of(" \t\r") == line.npos) continue;
        const auto object = wallet::parse_json(line);
        if (!object || !object->is_object())
            return unexpected(std::to_string(number) + ": not a JSON object");
        auto text = wallet::text_member(*object, field);
        if (!text)
            return unexpected(std::to_string(number) + ": no text in the member '" + field +
                              "'; name another one with --field");
        out.push_back(std::move(*text));
    }
    return out;
}

Result<Ingested, std::string> ingest(const std::string& path, const IngestOptions& o) {
    if (o.merges > training::ProgramLimits::merges_max)
        return unexpected("at most 65,280 merges are possible");
    if (o.kind == "text") return ingest_text(path, o);
    if (o.kind == "jsonl") return ingest_jsonl(path, o);
    if (o.kind == "tokens") return ingest_tokens(path, o);
    if (o.kind == "images") return ingest_images(path);
    if (o.kind == "idx") return ingest_idx(path, o);
    return unexpected("kind '" + o.kind + "' is none of text, jsonl, tokens, images, idx");
}

}  // namespace trainyard::node::data
