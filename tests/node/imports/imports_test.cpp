// SPDX-License-Identifier: Apache-2.0
// Models of other formats: their logits by plain float32 formulas, and what is refused.
#include "node/imports/imported.hpp"

#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "proto/onnx.pb.h"
#include "training/engine.hpp"
#include "training/numerics/philox.hpp"
#include "training/safetensors.hpp"

namespace trainyard::node::imports {
namespace {

using training::NamedTensor;
using training::Shape;
using training::Tensor;

std::vector<float> numbers(size_t count, uint32_t seed, float scale) {
    std::vector<float> out(count);
    for (uint32_t i = 0; i < count; ++i)
        out[i] =
            static_cast<float>(static_cast<int32_t>(training::philox({i, 0, 0, 0}, seed, 3)[0])) *
            0x1p-31F * scale;
    return out;
}

class Model {
public:
    void add(const std::string& name, Shape shape, float scale = 0.3F, float shift = 0.0F) {
        Tensor t{shape, numbers(shape.count(), static_cast<uint32_t>(tensors_.size()), scale)};
        for (float& x : t.data) x += shift;
        tensors_.push_back({name, std::move(t)});
    }
    [[nodiscard]] Bytes file() const { return training::write_safetensors(tensors_, {}); }
    void drop_last() { tensors_.pop_back(); }

private:
    std::vector<NamedTensor> tensors_;
};

Model gpt2() {
    Model m;
    m.add("wte.weight", Shape::matrix(11, 8));
    m.add("wpe.weight", Shape::matrix(6, 8));
    m.add("h.0.ln_1.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("h.0.ln_1.bias", Shape::vector(8));
    m.add("h.0.attn.c_attn.weight", Shape::matrix(8, 24));
    m.add("h.0.attn.c_attn.bias", Shape::vector(24));
    m.add("h.0.attn.c_proj.weight", Shape::matrix(8, 8));
    m.add("h.0.attn.c_proj.bias", Shape::vector(8));
    m.add("h.0.ln_2.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("h.0.ln_2.bias", Shape::vector(8));
    m.add("h.0.mlp.c_fc.weight", Shape::matrix(8, 32));
    m.add("h.0.mlp.c_fc.bias", Shape::vector(32));
    m.add("h.0.mlp.c_proj.weight", Shape::matrix(32, 8));
    m.add("h.0.mlp.c_proj.bias", Shape::vector(8));
    m.add("ln_f.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("ln_f.bias", Shape::vector(8));
    return m;
}
const char* const kGpt2 =
    R"({"model_type":"gpt2","vocab_size":11,"n_positions":6,"n_layer":1,"n_embd":8,"n_head":2,
        "activation_function":"gelu_new"})";

Model llama() {
    Model m;
    m.add("model.embed_tokens.weight", Shape::matrix(11, 8));
    m.add("model.layers.0.input_layernorm.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("model.layers.0.self_attn.q_proj.weight", Shape::matrix(8, 8));
    m.add("model.layers.0.self_attn.k_proj.weight", Shape::matrix(4, 8));
    m.add("model.layers.0.self_attn.v_proj.weight", Shape::matrix(4, 8));
    m.add("model.layers.0.self_attn.o_proj.weight", Shape::matrix(8, 8));
    m.add("model.layers.0.post_attention_layernorm.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("model.layers.0.mlp.gate_proj.weight", Shape::matrix(20, 8));
    m.add("model.layers.0.mlp.up_proj.weight", Shape::matrix(20, 8));
    m.add("model.layers.0.mlp.down_proj.weight", Shape::matrix(8, 20));
    m.add("model.norm.weight", Shape::vector(8), 0.1F, 1.0F);
    m.add("lm_head.weight", Shape::matrix(11, 8));
    return m;
}
const char* const kLlama =
    R"({"model_type":"llama","vocab_size":11,"hidden_size":8,"num_hidden_layers":1,
        "num_attention_heads":2,"num_key_value_heads":1,"intermediate_size":20,
        "max_position_embeddings":64,"rms_norm_eps":1e-5,"hidden_act":"silu"})";

/// Logits in float32 products; they must be finite and differ between positions.
Tensor logits(Imported& model, const training::Batch& batch) {
    model.program.recipe = training::Recipe::fp32;
    const auto backend = training::make_fp32_backend();
    auto engine = training::Engine::make(model.program, *backend);
    EXPECT_TRUE(engine.has_value());
    EXPECT_TRUE(engine->load_weights(model.w).has_value());
    auto z = engine->forward_logits(batch);
    EXPECT_TRUE(z.has_value());
    return *z;
}

TEST(hugging_face, gpt2_and_llama_become_programs_that_run) {
    for (const bool second : {false, true}) {
        auto made = second ? import_hugging_face(kLlama, llama().file(), 6)
                           : import_hugging_face(kGpt2, gpt2().file(), 0);
        ASSERT_TRUE(made) << made.error();
        EXPECT_EQ(made->program.data.sequence, 6U);
        const auto z = logits(*made, {{1, 2, 3, 4, 5, 6}, {2, 3, 4, 5, 6, 7}, {}});
        EXPECT_EQ(z.shape, Shape::matrix(6, 11));
        for (const float x : z.data) EXPECT_TRUE(std::isfinite(x));
        // Causal: a later token leaves earlier rows as they were.
        const auto other = logits(*made, {{1, 2, 3, 4, 5, 9}, {2, 3, 4, 5, 6, 7}, {}});
        for (size_t i = 0; i < 5 * 11; ++i) EXPECT_EQ(z.data[i], other.data[i]);
        EXPECT_NE(z.data.back(), other.data.back());
    }
}

TEST(hugging_face, rejects_what_is_missing_or_of_another_shape_and_names_it) {
    const auto fault = [](std::string_view config, const Model& m) {
        const auto made = import_hugging_face(config, m.file(), 0);
        return made ? std::string("imported") : made.error();
    };
    Model cut = gpt2();
    cut.drop_last();
    EXPECT_NE(fault(kGpt2, cut).find("ln_f.bias"), std::string::npos);
    std::string wide = kGpt2;
    wide.replace(wide.find("\"n_embd\":8"), 10, "\"n_embd\":6");
    EXPECT_NE(fault(wide, gpt2()).find("wpe.weight"), std::string::npos) << fault(wide, gpt2());
    std::string eps = kLlama;
    eps.replace(eps.find("1e-5"), 4, "1e-6");
    EXPECT_NE(fault(eps, llama()).find("rms_norm_eps"), std::string::npos);
    EXPECT_NE(fault("{\"model_type\":\"bert\"}", gpt2()).find("model_type"), std::string::npos);
    EXPECT_NE(fault("{\"model_type\":\"gpt2\"}", gpt2()).find("vocab_size"), std::string::npos);
    EXPECT_NE(fault("[", gpt2()), "imported");
}

onnx::Tensor* weight(onnx::Graph& g, const char* name, std::vector<int64_t> dims, uint32_t seed) {
    auto* t = g.add_initializer();
    t->set_name(name);
    t->set_data_type(1);
    size_t count = 1;
    for (const int64_t d : dims) {
        t->add_dims(d);
        count *= static_cast<size_t>(d);
    }
    for (const float x : numbers(count, seed, 0.5F)) t->add_float_data(x);
    return t;
}

onnx::Node* node(onnx::Graph& g, const char* type, std::vector<std::string> in, const char* out) {
    auto* n = g.add_node();
    n->set_op_type(type);
    n->set_name(out);
    for (const auto& i : in) n->add_input(i);
    n->add_output(out);
    return n;
}

void set(onnx::Node* n, const char* name, std::vector<int64_t> ints) {
    auto* a = n->add_attribute();
    a->set_name(name);
    for (const int64_t i : ints) a->add_ints(i);
    if (ints.size() == 1) a->set_i(ints[0]);
}

/// Conv 3x3 with padding, Relu, Flatten, Gemm over images of two channels and 4 x 4.
onnx::Model classifier() {
    onnx::Model model;
    model.set_ir_version(8);
    auto& g = *model.mutable_graph();
    auto* input = g.add_input();
    input->set_name("x");
    for (const int64_t d : {0, 2, 4, 4})
        input->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(d);
    weight(g, "k", {3, 2, 3, 3}, 1);
    weight(g, "kb", {3}, 2);
    weight(g, "w", {5, 48}, 3);
    weight(g, "b", {5}, 4);
    auto* conv = node(g, "Conv", {"x", "k", "kb"}, "c");
    set(conv, "pads", {1, 1, 1, 1});
    node(g, "Relu", {"c"}, "r");
    node(g, "Flatten", {"r"}, "f");
    set(node(g, "Gemm", {"f", "w", "b"}, "z"), "transB", {1});
    g.add_output()->set_name("z");
    return model;
}

Bytes file_of(const onnx::Model& model) {
    const std::string text = model.SerializeAsString();
    return {text.begin(), text.end()};
}

/// The same network by its definition, on an image stored channel by channel.
std::vector<double> scores(const onnx::Model& model, const std::vector<float>& x) {
    const auto& t = model.graph().initializer();
    std::vector<double> maps(48), out(5);
    for (int o = 0; o < 3; ++o)
        for (int y = 0; y < 4; ++y)
            for (int c = 0; c < 4; ++c) {
                double sum = t[1].float_data(o);
                for (int i = 0; i < 2; ++i)
                    for (int ky = 0; ky < 3; ++ky)
                        for (int kx = 0; kx < 3; ++kx) {
                            const int iy = y + ky - 1, ix = c + kx - 1;
                            if (iy < 0 || ix < 0 || iy > 3 || ix > 3) continue;
                            sum += double{x[static_cast<size_t>((i * 4 + iy) * 4 + ix)]} *
                                   t[0].float_data(((o * 2 + i) * 3 + ky) * 3 + kx);
                        }
                maps[static_cast<size_t>((o * 4 + y) * 4 + c)] = std::max(0.0, sum);
            }
    for (int k = 0; k < 5; ++k) {
        double sum = t[3].float_data(k);
        for (int i = 0; i < 48; ++i)
            sum += maps[static_cast<size_t>(i)] * t[2].float_data(k * 48 + i);
        out[static_cast<size_t>(k)] = sum;
    }
    return out;
}

TEST(onnx_import, computes_what_the_graph_means) {
    const onnx::Model model = classifier();
    auto made = import_onnx(file_of(model));
    ASSERT_TRUE(made) << made.error();
    const std::vector<float> x = numbers(32, 9, 1.0F);  // channel by channel
    training::Batch batch;
    for (size_t p = 0; p < 16; ++p)
        for (size_t c = 0; c < 2; ++c) batch.features.push_back(x[c * 16 + p]);
    batch.targets = {0};
    const auto z = logits(*made, batch);
    const auto due = scores(model, x);
    ASSERT_EQ(z.data.size(), due.size());
    for (size_t k = 0; k < due.size(); ++k) EXPECT_NEAR(z.data[k], due[k], 1e-4);
}

std::string onnx_fault(const std::function<void(onnx::Graph&)>& change) {
    onnx::Model model = classifier();
    change(*model.mutable_graph());
    const auto made = import_onnx(file_of(model));
    return made ? "imported" : made.error();
}

TEST(onnx_import, rejects_unknown_operators_and_names_the_node) {
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_node(1)->set_op_type("Erf"); }).find("'r' (Erf)"),
              std::string::npos);
    EXPECT_NE(onnx_fault([](auto& g) {
                  g.mutable_node(0)->mutable_attribute(0)->set_ints(0, 2);
              }).find("'c' (Conv)"),
              std::string::npos);
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_node(3)->set_input(0, "r"); }).find("'z' (Gemm)"),
              std::string::npos);
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_node(2)->set_input(0, "later"); }).find("later"),
              std::string::npos);
}

TEST(onnx_import, rejects_hostile_tensors_and_files) {
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_initializer(0)->set_dims(0, int64_t{1} << 62); }),
              "imported");
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_initializer(0)->set_dims(0, -3); }), "imported");
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_initializer(0)->set_float_data(0, INFINITY); }),
              "imported");
    EXPECT_NE(onnx_fault([](auto& g) { g.mutable_initializer(0)->set_data_location(1); }),
              "imported");
    EXPECT_NE(onnx_fault([](auto& g) { g.clear_output(); }), "imported");
    EXPECT_NE(onnx_fault([](auto& g) {
                  g.mutable_input(0)
                      ->mutable_type()
                      ->mutable_tensor_type()
                      ->mutable_shape()
                      ->mutable_dim(2)
                      ->set_dim_value(int64_t{1} << 40);
              }),
              "imported");
    const Bytes whole = file_of(classifier());
    for (size_t n = 0; n < whole.size(); n += 7)
        (void)import_onnx(BytesView(whole).first(n));  // refused or read, never a crash
    EXPECT_FALSE(import_onnx(as_bytes("not a model")));
}

}  // namespace
}  // namespace trainyard::node::imports
