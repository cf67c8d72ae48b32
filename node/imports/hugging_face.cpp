// SPDX-License-Identifier: Apache-2.0
// GPT-2 and Llama as operators: names and layouts as their Hugging Face checkpoints have them.
#include <cmath>
#include <map>
#include <optional>

#include "node/imports/imported.hpp"
#include "node/wallet/json_util.hpp"
#include "training/numerics/functions.hpp"
#include "training/safetensors.hpp"
#include "training/templates.hpp"

namespace trainyard::node::imports {
namespace {

using training::GraphBuilder;
using training::Op;
using training::Ref;
using training::Shape;
using training::Tensor;

constexpr uint32_t kLayersMax = 256;
constexpr uint32_t kDefaultSequence = 256;

/// The settings of config.json and the tensors of the checkpoint. The first fault is kept; after it
/// every answer is a harmless default, and `finish` reports it.
class Checkpoint {
public:
    Checkpoint(const boost::json::value& config, std::vector<training::NamedTensor> tensors)
        : config_(config) {
        for (auto& t : tensors) tensors_.emplace(t.name, std::move(t.tensor));
    }

    uint32_t number(const char* name, uint32_t max) {
        const auto found = wallet::number_member(config_, name);
        if (found && *found >= 1 && *found <= max) return static_cast<uint32_t>(*found);
        fail(std::string("config.json: '") + name + "' must be 1 to " + std::to_string(max));
        return 1;
    }
    uint32_t number_or(const char* name, uint32_t max, uint32_t fallback) {
        const auto* found = wallet::member(config_, name);
        return found == nullptr || found->is_null() ? fallback : number(name, max);
    }
    double real_or(const char* name, double fallback) {
        const auto* found = wallet::member(config_, name);
        if (found == nullptr || found->is_null()) return fallback;
        if (found->is_number()) return found->to_number<double>();
        fail(std::string("config.json: '") + name + "' must be a number");
        return fallback;
    }
    bool flag_or(const char* name, bool fallback) {
        const auto* found = wallet::member(config_, name);
        return found != nullptr && found->is_bool() ? found->get_bool() : fallback;
    }
    bool is_set(const char* name) const {
        const auto* found = wallet::member(config_, name);
        return found != nullptr && !found->is_null();
    }
    void require_text(const char* name, std::initializer_list<std::string_view> allowed) {
        const auto found = wallet::text_member(config_, name);
        for (const auto text : allowed)
            if (!found || *found == text) return;
        fail(std::string("config.json: '") + name + "' is '" + *found +
             "', which is not supported");
    }

    [[nodiscard]] bool holds(const std::string& name) const { return find(name) != tensors_.end(); }

    Tensor take(const std::string& name, Shape due) {
        const auto it = find(name);
        if (it == tensors_.end()) {
            fail("the checkpoint lacks the tensor " + name);
            return Tensor::zeros(due);
        }
        if (it->second.shape != due) {
            fail("tensor " + name + " has another shape than config.json says");
            return Tensor::zeros(due);
        }
        return it->second;
    }

    void fail(std::string why) {
        if (fault_.empty()) fault_ = std::move(why);
    }
    [[nodiscard]] const std::string& fault() const { return fault_; }

private:
    /// With or without the prefix of the whole model.
    [[nodiscard]] std::map<std::string, Tensor>::const_iterator find(
        const std::string& name) const {
        for (const char* prefix : {"", "transformer.", "model."})
            if (const auto it = tensors_.find(prefix + name); it != tensors_.end()) return it;
        return tensors_.end();
    }

    const boost::json::value& config_;
    std::map<std::string, Tensor> tensors_;
    std::string fault_;
};

uint32_t eps_bits(double eps) {
    return training::bits_of(static_cast<float>(eps));
}

training::DataSpec text_of(uint32_t sequence) {
    training::DataSpec data;
    data.kind = training::DataKind::tokens_u16;
    data.sequence = sequence;
    return data;
}

uint32_t kept_positions(uint32_t wanted, uint32_t own) {
    return std::min(wanted == 0 ? kDefaultSequence : wanted, own);
}

/// GPT-2 stores the weights of its products as inputs x outputs, as programs do.
class Gpt2 {
public:
    explicit Gpt2(Checkpoint& from) : from_(from) {}

    Result<Imported, std::string> run(uint32_t sequence) {
        const uint32_t vocabulary = from_.number("vocab_size", 65536);
        const uint32_t positions = from_.number("n_positions", 16384);
        const uint32_t layers = from_.number("n_layer", kLayersMax);
        d_ = from_.number("n_embd", 16384);
        heads_ = from_.number("n_head", 1024);
        inner_ = from_.number_or("n_inner", 65536, 4 * d_);
        eps_ = eps_bits(from_.real_or("layer_norm_epsilon", 1e-5));
        from_.require_text("activation_function", {"gelu_new", "gelu_pytorch_tanh"});
        if (!from_.fault().empty()) return unexpected(from_.fault());
        const uint32_t t = kept_positions(sequence, positions);
        Tensor all = from_.take("wpe.weight", Shape::matrix(positions, d_));
        all.shape.rows = t;
        all.data.resize(all.shape.count());
        const Ref e =
            b_.parameter("wte.weight", from_.take("wte.weight", Shape::matrix(vocabulary, d_)));
        const Ref pos = b_.parameter("wpe.weight", std::move(all));
        Ref x = b_.graph.emit(Op::embedding, {GraphBuilder::input(), e, pos});
        for (uint32_t l = 0; l < layers; ++l) x = block(x, "h." + std::to_string(l) + ".");
        const Ref h = norm(x, "ln_f");
        const Ref z =
            from_.holds("lm_head.weight")
                ? b_.graph.linear(
                      h, b_.parameter(
                             "lm_head.weight",
                             turned(from_.take("lm_head.weight", Shape::matrix(vocabulary, d_)))))
                : b_.graph.emit(Op::matmul, {h, e}, {0, 1, 0, b_.graph.next_noise()});
        b_.graph.emit(Op::cross_entropy, {z, GraphBuilder::targets()});
        if (!from_.fault().empty()) return unexpected(from_.fault());
        return b_.finish(text_of(t));
    }

private:
    Ref vector(const std::string& name, uint32_t n) {
        return b_.parameter(name, from_.take(name, Shape::vector(n)));
    }
    Ref norm(Ref x, const std::string& at) {
        const Ref g = vector(at + ".weight", d_);
        return b_.graph.emit(Op::layer_norm, {x, g, vector(at + ".bias", d_)}, {eps_});
    }
    Ref dense(Ref x, const std::string& at, uint32_t in, uint32_t out) {
        const Ref w =
            b_.parameter(at + ".weight", from_.take(at + ".weight", Shape::matrix(in, out)));
        return b_.graph.linear(x, w, vector(at + ".bias", out));
    }
    Ref block(Ref x, const std::string& at) {
        const Ref qkv = dense(norm(x, at + "ln_1"), at + "attn.c_attn", d_, 3 * d_);
        const Ref mixed = b_.graph.attention(qkv, heads_, true);
        const Ref x1 = b_.graph.emit(Op::add, {x, dense(mixed, at + "attn.c_proj", d_, d_)});
        const Ref up = dense(norm(x1, at + "ln_2"), at + "mlp.c_fc", d_, inner_);
        const Ref down = dense(b_.graph.emit(Op::gelu, {up}), at + "mlp.c_proj", inner_, d_);
        return b_.graph.emit(Op::add, {x1, down});
    }

    Checkpoint& from_;
    WeightedBuilder b_;
    uint32_t d_ = 0, heads_ = 0, inner_ = 0, eps_ = 0;
};

/// Llama stores the weights of its products as outputs x inputs: they are turned.
class Llama {
public:
    explicit Llama(Checkpoint& from) : from_(from) {}

    Result<Imported, std::string> run(uint32_t sequence) {
        const uint32_t vocabulary = from_.number("vocab_size", 65536);
        const uint32_t layers = from_.number("num_hidden_layers", kLayersMax);
        d_ = from_.number("hidden_size", 16384);
        heads_ = from_.number("num_attention_heads", 1024);
        groups_ = from_.number_or("num_key_value_heads", 1024, heads_);
        inner_ = from_.number("intermediate_size", 65536);
        check();
        if (!from_.fault().empty()) return unexpected(from_.fault());
        const uint32_t t =
            kept_positions(sequence, from_.number("max_position_embeddings", 1U << 24));
        head_ = d_ / heads_;
        const double base = from_.real_or("rope_theta", 10000.0);
        table_ = b_.graph.constant("rope", Shape::matrix(t, head_),
                                   training::rope_table(t, head_, base));
        const Ref e =
            b_.parameter("embed_tokens.weight",
                         from_.take("embed_tokens.weight", Shape::matrix(vocabulary, d_)));
        Ref x = b_.graph.emit(Op::lookup, {GraphBuilder::input(), e});
        for (uint32_t l = 0; l < layers; ++l) x = block(x, "layers." + std::to_string(l) + ".");
        const Ref h = norm(x, "norm");
        const Ref z = from_.flag_or("tie_word_embeddings", false)
                          ? b_.graph.emit(Op::matmul, {h, e}, {0, 1, 0, b_.graph.next_noise()})
                          : dense(h, "lm_head", d_, vocabulary);
        b_.graph.emit(Op::cross_entropy, {z, GraphBuilder::targets()});
        if (!from_.fault().empty()) return unexpected(from_.fault());
        return b_.finish(text_of(t));
    }

private:
    void check() {
        if (d_ % heads_ != 0 || heads_ % groups_ != 0 || d_ / heads_ % 2 != 0)
            from_.fail("config.json: heads do not divide the width, or key-value heads the heads");
        if (from_.number_or("head_dim", 16384, d_ / heads_) != d_ / heads_)
            from_.fail("config.json: 'head_dim' other than hidden_size / heads is not supported");
        if (eps_bits(from_.real_or("rms_norm_eps", 1e-5)) != eps_bits(1e-5))
            from_.fail("config.json: 'rms_norm_eps' must be 1e-5, that of the recipe's RMSNorm");
        if (from_.is_set("rope_scaling"))
            from_.fail("config.json: 'rope_scaling' is not supported");
        if (from_.flag_or("attention_bias", false) || from_.flag_or("mlp_bias", false))
            from_.fail("config.json: biases are not supported");
        if (const auto base = from_.real_or("rope_theta", 10000.0); !(base > 1.0 && base < 1e9))
            from_.fail("config.json: 'rope_theta' must lie between 1 and 1e9");
        from_.require_text("hidden_act", {"silu", "swish"});
    }
    Ref norm(Ref x, const std::string& at) {
        const std::string name = at + ".weight";
        return b_.graph.emit(Op::rms_norm,
                             {x, b_.parameter(name, from_.take(name, Shape::vector(d_)))});
    }
    Ref dense(Ref x, const std::string& at, uint32_t in, uint32_t out) {
        const std::string name = at + ".weight";
        return b_.graph.linear(
            x, b_.parameter(name, turned(from_.take(name, Shape::matrix(out, in)))));
    }
    /// Keys or values, each group's for all of its heads.
    Ref shared(Ref x, const std::string& at) {
        const Ref y = dense(x, at, d_, groups_ * head_);
        return groups_ == heads_ ? y : b_.graph.emit(Op::repeat, {y}, {head_, heads_ / groups_});
    }
    Ref block(Ref x, const std::string& at) {
        const Ref h = norm(x, at + "input_layernorm");
        const Ref q = dense(h, at + "self_attn.q_proj", d_, d_);
        const Ref k = shared(h, at + "self_attn.k_proj");
        const Ref qkv = b_.graph.emit(Op::concat, {q, k, shared(h, at + "self_attn.v_proj")});
        const Ref turned_qk = b_.graph.emit(Op::rope, {qkv, table_}, {head_, 2 * d_});
        const Ref mixed = b_.graph.attention(turned_qk, heads_, true);
        const Ref x1 = b_.graph.emit(Op::add, {x, dense(mixed, at + "self_attn.o_proj", d_, d_)});
        const Ref h2 = norm(x1, at + "post_attention_layernorm");
        const Ref gate = b_.graph.emit(Op::silu, {dense(h2, at + "mlp.gate_proj", d_, inner_)});
        const Ref up = b_.graph.emit(Op::mul, {gate, dense(h2, at + "mlp.up_proj", d_, inner_)});
        return b_.graph.emit(Op::add, {x1, dense(up, at + "mlp.down_proj", inner_, d_)});
    }

    Checkpoint& from_;
    WeightedBuilder b_;
    Ref table_;
    uint32_t d_ = 0, heads_ = 0, groups_ = 0, inner_ = 0, head_ = 0;
};

}  // namespace

Result<Imported, std::string> import_hugging_face(std::string_view config, BytesView safetensors,
                                                  uint32_t sequence) {
    const auto parsed = wallet::parse_json(config);
    if (!parsed || !parsed->is_object()) return unexpected("config.json is no JSON object");
    auto file = training::read_safetensors(safetensors);
    if (!file)
        return unexpected(
            "model.safetensors cannot be read: " + std::string(training::to_text(file.error())) +
            "; F32, F16 or BF16 tensors of rank 1 to 4 are due");
    Checkpoint checkpoint(*parsed, std::move(file->tensors));
    const auto type = wallet::text_member(*parsed, "model_type");
    if (type && *type == "gpt2") return Gpt2(checkpoint).run(sequence);
    if (type && *type == "llama") return Llama(checkpoint).run(sequence);
    return unexpected("config.json: 'model_type' must be gpt2 or llama");
}

}  // namespace trainyard::node::imports
