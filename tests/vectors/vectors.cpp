// SPDX-License-Identifier: Apache-2.0
// Unpacking goes through a folder of its own and a rename, so that tests may run side by side.
#include "tests/vectors/vectors.hpp"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace trainyard::vectors {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> unpack() {
    const char* elsewhere = getenv("TRAINYARD_SHARED");
    const fs::path shared = elsewhere != nullptr ? elsewhere : SHARED_DEFAULT;
    const fs::path archive = shared / "vectors" / "ethereum.tar.xz", out = UNPACKED_DEFAULT;
    if (fs::exists(out)) return out.string();
    if (!fs::exists(archive)) return std::nullopt;
    std::string fresh = out.string() + "-XXXXXX";
    if (mkdtemp(fresh.data()) == nullptr) return std::nullopt;
    const std::string command = "tar -xJf '" + archive.string() + "' -C '" + fresh +
                                "' --strip-components=1 vectors/rlp vectors/trie vectors/tx "
                                "vectors/basic vectors/keystore vectors/abi";
    std::error_code ignored;
    const bool good = std::system(command.c_str()) == 0;
    if (good) fs::rename(fresh, out, ignored);
    fs::remove_all(fresh, ignored);
    return fs::exists(out) ? std::optional(out.string()) : std::nullopt;
}

boost::json::value read_json(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    return boost::json::parse(text);
}

}  // namespace

std::optional<std::string> folder() {
    const char* unpacked = getenv("TRAINYARD_VECTORS");
    if (unpacked != nullptr && *unpacked != '\0') return unpacked;
    static const std::optional<std::string> found = unpack();
    return found;
}

size_t for_each_case(
    std::string_view path,
    const std::function<void(const std::string&, const boost::json::value&)>& visit) {
    const fs::path start = fs::path(*folder()) / path;
    std::vector<fs::path> files;
    if (fs::is_regular_file(start)) files.push_back(start);
    if (fs::is_directory(start))
        for (const auto& entry : fs::recursive_directory_iterator(start))
            if (entry.path().extension() == ".json") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    size_t count = 0;
    for (const fs::path& file : files) {
        const boost::json::value cases = read_json(file);
        const std::string stem = file.stem().string() + "/";
        if (const auto* list = cases.if_array())
            for (const auto& element : *list) visit(stem + std::to_string(count++), element);
        if (const auto* object = cases.if_object())
            for (const auto& [name, element] : *object)
                visit(stem + std::string(name), element), ++count;
    }
    return count;
}

Bytes bytes_or_text(const boost::json::value& value) {
    const std::string_view text(value.as_string().data(), value.as_string().size());
    if (text.starts_with("0x"))
        if (auto bytes = from_hex(text)) return *std::move(bytes);
    const BytesView plain = as_bytes(text);
    return {plain.begin(), plain.end()};
}

}  // namespace trainyard::vectors
