// SPDX-License-Identifier: Apache-2.0
// Sources of data sets: read as they are, refused with the file and the line.
#include "node/data/ingest.hpp"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "node/data/png.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::data {
namespace {

using training::DataKind;

class Folder {
public:
    Folder()
        : path_(std::filesystem::temp_directory_path() /
                ("trainyard-data-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(path_);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string write(const std::string& name, BytesView content) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        EXPECT_TRUE(wallet::write_file(file, content));
        return file;
    }
    [[nodiscard]] std::string path() const { return path_; }

private:
    std::filesystem::path path_;
};

TEST(png, comes_back_as_it_was_written) {
    for (const uint32_t channels : {1U, 3U}) {
        training::Image image{3, 2, channels, 0, {}};
        for (uint32_t i = 0; i < 6 * channels; ++i)
            image.pixels.push_back(static_cast<uint8_t>(i * 9));
        const auto file = write_png(image);
        ASSERT_TRUE(file) << file.error();
        const auto read = read_png(*file, 1024);
        ASSERT_TRUE(read) << read.error();
        EXPECT_EQ(*read, image);
    }
}

TEST(png, rejects_damaged_and_oversized_images) {
    const training::Image image{4, 4, 1, 0, Bytes(16, 7)};
    const Bytes file = *write_png(image);
    for (size_t n = 0; n + 16 < file.size(); n += 5)
        EXPECT_FALSE(read_png(BytesView(file).first(n), 9));
    EXPECT_FALSE(read_png(file, 3));
    EXPECT_FALSE(write_png({1, 1, 2, 0, {0, 0}}));
}

TEST(jsonl, rejects_lines_that_are_no_objects_and_names_them) {
    EXPECT_EQ(*read_jsonl("{\"text\":\"a\"}\n\n{\"text\":\"b\\n\"}", "text"),
              (std::vector<std::string>{"a", "b\n"}));
    EXPECT_NE(read_jsonl("{\"text\":\"a\"}\n[1]", "text").error().find("2: not"),
              std::string::npos);
    EXPECT_NE(read_jsonl("{\"text\":1}", "text").error().find("--field"), std::string::npos);
    EXPECT_FALSE(read_jsonl("{\"text\":\"a", "text"));
}

TEST(ingest, makes_data_sets_of_text_lines_tokens_and_images) {
    const Folder folder;
    IngestOptions o;
    const auto text = folder.write("a.txt", as_bytes("abc abc abc"));
    EXPECT_EQ(ingest(text, o)->blob.size(), 11U);
    o.merges = 3;
    const auto merged = ingest(text, o);
    ASSERT_TRUE(merged);
    EXPECT_EQ(training::inspect_dataset(merged->blob)->classes,
              training::vocabulary_of(merged->tokenizer));
    o = {};
    o.kind = "jsonl";
    const auto lines =
        ingest(folder.write("l", as_bytes("{\"text\":\"a\"}\n{\"text\":\"bc\"}")), o);
    ASSERT_TRUE(lines) << lines.error();
    folder.write("two/a", as_bytes("{\"text\":\"a\"}"));
    folder.write("two/b", as_bytes("{\"text\":\"a\"}\n{\"txt\":\"b\"}"));
    EXPECT_TRUE(ingest(folder.path() + "/two", o)
                    .error()
                    .starts_with(folder.path() + "/two/b:2: no text in the member 'text'"));
    EXPECT_EQ(training::inspect_dataset(lines->blob)->records, 2U);
    o.kind = "tokens";
    const auto tokens = ingest(folder.write("t", Bytes{1, 0, 4, 1}), o);
    ASSERT_TRUE(tokens);
    EXPECT_EQ(training::inspect_dataset(tokens->blob)->classes, 261U);
    o.kind = "images";
    for (const char* name : {"i/cat/0.png", "i/dog/0.png", "i/dog/1.png"})
        folder.write(name, *write_png({2, 2, 1, 0, Bytes(4, 9)}));
    const auto images = ingest(folder.path() + "/i", o);
    ASSERT_TRUE(images) << images.error();
    EXPECT_EQ(images->class_names, (std::vector<std::string>{"cat", "dog"}));
    const auto info = *training::inspect_dataset(images->blob);
    EXPECT_EQ(training::count_classes(images->blob, info), (std::vector<uint64_t>{1, 2}));
}

TEST(ingest, rejects_odd_tokens_mixed_images_and_unknown_kinds) {
    const Folder folder;
    IngestOptions o;
    o.kind = "tokens";
    EXPECT_FALSE(ingest(folder.write("t", Bytes{1, 0, 4}), o));
    o.kind = "images";
    folder.write("i/0.png", *write_png({2, 2, 1, 0, Bytes(4, 9)}));
    folder.write("i/1.png", *write_png({2, 3, 1, 0, Bytes(6, 9)}));
    EXPECT_NE(ingest(folder.path() + "/i", o).error().find("1.png"), std::string::npos);
    EXPECT_FALSE(ingest(folder.path() + "/i/0.png", o));
    o.kind = "idx";
    EXPECT_NE(ingest(folder.path() + "/i/0.png", o).error().find("--labels"), std::string::npos);
    o.kind = "video";
    EXPECT_FALSE(ingest(folder.path(), o));
    o.kind = "text";
    EXPECT_FALSE(ingest(folder.path() + "/nothing", o));
}

}  // namespace
}  // namespace trainyard::node::data
