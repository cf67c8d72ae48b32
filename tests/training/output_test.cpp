// SPDX-License-Identifier: Apache-2.0
// What leaves the project: safetensors files, configuration, model card, loss plot.
#include "tests/training/fixture.hpp"
#include "training/report.hpp"
#include "training/safetensors.hpp"

namespace trainyard::training {
namespace {

TEST(safetensors, a_small_file_has_exactly_these_bytes) {
    const Bytes file = write_safetensors(
        {{"b", {Shape::vector(1), {2.0F}}}, {"a", {Shape::matrix(1, 2), {1.0F, -0.0F}}}},
        {{"format", "pt"}});
    const std::string header =
        R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
        R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
    const size_t padded = (header.size() + 7) / 8 * 8;
    ASSERT_EQ(file.size(), 8 + padded + 12);
    EXPECT_EQ(load_le<uint64_t>(file.data()), padded);
    EXPECT_EQ(as_text(BytesView(file).subspan(8, header.size())), header);
    EXPECT_EQ(load_le<uint32_t>(file.data() + 8 + padded + 4), 0x80000000U);
}

TEST(safetensors, a_model_reads_back_into_program_order) {
    const Program program = small_program();
    const auto w = make_initial_state(program, seed_of(1)).w;
    const Bytes file = write_model(program, w, {});
    const auto read = read_model(program, file);
    ASSERT_TRUE(read.has_value());
    for (size_t k = 0; k < w.size(); ++k) EXPECT_TRUE(same_bits((*read)[k], w[k]));
    GptOptions o = small_options();
    o.layers = 1;
    EXPECT_EQ(read_model(small_program(o), file).error(), SafetensorsError::bad_shape);
}

Bytes with_header(const std::string& header, size_t data_bytes) {
    Bytes file;
    append_le(file, static_cast<uint64_t>(header.size()));
    append(file, as_bytes(header));
    file.resize(file.size() + data_bytes);
    return file;
}

TEST(safetensors, rejects_malformed_files_by_name) {
    using E = SafetensorsError;
    const auto error = [](const std::string& header, size_t data_bytes) {
        const auto read = read_safetensors(with_header(header, data_bytes));
        EXPECT_FALSE(read.has_value()) << header;
        return read ? E::too_many : read.error();
    };
    EXPECT_EQ(read_safetensors({}).error(), E::truncated);
    EXPECT_EQ(read_safetensors(Bytes(8, 0xff)).error(), E::header_too_large);
    EXPECT_EQ(read_safetensors(Bytes{100, 0, 0, 0, 0, 0, 0, 0, '{'}).error(), E::truncated);
    EXPECT_EQ(error("[]", 0), E::bad_header);
    EXPECT_EQ(error("{} x", 0), E::bad_header);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[1]}})", 4), E::bad_header);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4),
              E::bad_header);
    EXPECT_EQ(error(R"({"a\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
              E::bad_header);
    EXPECT_EQ(error(R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,4]}})", 4), E::bad_dtype);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4), E::bad_shape);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0), E::bad_shape);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
              E::bad_offsets);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
              E::bad_offsets);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8),
              E::bad_offsets);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[999999999],"data_offsets":[0,4]}})", 4),
              E::bad_offsets);
    EXPECT_EQ(error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                    8),
              E::duplicate_name);
}

TEST(safetensors, rejects_or_reads_every_changed_header_byte_without_a_crash) {
    const Bytes file = write_safetensors({{"a", {Shape::matrix(1, 2), {1.0F, 2.0F}}}}, {});
    for (size_t i = 0; i < file.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            Bytes changed = file;
            changed[i] ^= static_cast<uint8_t>(1U << bit);
            const auto read = read_safetensors(changed);
            EXPECT_TRUE(!read || read->tensors.size() == 1);
        }
}

TEST(report, the_plot_is_one_self_contained_svg) {
    const std::string svg = loss_svg({{0, 5.5F}, {10, 3.0F}, {20, 2.5F}}, "a < b & c");
    EXPECT_EQ(svg.rfind("<svg ", 0), 0U);
    EXPECT_NE(svg.find("a &lt; b &amp; c"), std::string::npos);
    EXPECT_NE(svg.find("<polyline"), std::string::npos);
    EXPECT_EQ(svg.find("http", svg.find("xmlns") + 40), std::string::npos);
    EXPECT_NE(loss_svg({}, "empty").find("</svg>"), std::string::npos);
    EXPECT_NE(loss_svg({{0, as_float(0x7fc00000)}}, "nan").find("</svg>"), std::string::npos);
}

TEST(report, texts_carry_what_the_program_and_the_chain_say) {
    const std::string config = hugging_face_config(small_program());
    for (const char* part : {"\"num_hidden_layers\": 2", "\"hidden_size\": 36",
                             "\"vocab_size\": 256", "\"recipe\": \"rmp-1\""})
        EXPECT_NE(config.find(part), std::string::npos) << part;
    ModelCard card;
    card.name = "demo", card.licence = "Apache-2.0", card.facts = {{"job", "7"}};
    EXPECT_NE(model_card(card).find("| job | 7 |"), std::string::npos);
    EXPECT_EQ(loss_csv({{3, 1.5F}}), "step,loss\n3,1.500000\n");
}

}  // namespace
}  // namespace trainyard::training
