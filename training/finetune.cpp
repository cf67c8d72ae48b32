// SPDX-License-Identifier: Apache-2.0
// Copies a model's operators, with its weights as constants or as given parameters.
#include "training/finetune.hpp"

#include <bit>
#include <cmath>
#include <set>

#include "training/dataset.hpp"
#include "training/graph.hpp"

namespace trainyard::training {

namespace {

class Copier {
public:
    Copier(const Program& model, const std::vector<Tensor>& w, const FinetuneOptions& o)
        : model_(model), w_(w), o_(o) {}

    Result<Finetune, ProgramFault> run() {
        const uint32_t first_output =
            first_constant_value(model_) + static_cast<uint32_t>(model_.constants.size());
        values_.resize(first_output);
        values_[kTokensValue] = GraphBuilder::input();
        values_[kTargetsValue] = GraphBuilder::targets();
        find_products();
        for (size_t k = 0; k < model_.parameters.size(); ++k) copy_parameter(k);
        for (size_t k = 0; k < model_.constants.size(); ++k)
            if (!copy_constant(k))
                return unexpected(ProgramFault{ProgramError::bad_parameter, static_cast<int64_t>(k),
                                               "the model has a base section of its own: train "
                                               "from the model it came from"});
        for (const Node& node : model_.nodes) copy_node(node);
        Finetune out;
        b_.finish(out.program);
        out.program.tokenizer = model_.tokenizer;
        out.program.recipe = model_.recipe;
        out.program.data = model_.data;
        // The base section is read constants first.
        out.base = std::move(constant_parts_);
        for (Bytes& part : given_parts_) out.base.push_back(std::move(part));
        return out;
    }

private:
    void find_products() {
        for (const Node& node : model_.nodes)
            if (node.op == Op::linear && node.inputs[1] >= kFirstParameterValue &&
                node.inputs[1] < first_constant_value(model_))
                products_.insert(node.inputs[1] - kFirstParameterValue);
    }

    void copy_parameter(size_t k) {
        const Parameter& p = model_.parameters[k];
        Ref& to = values_[kFirstParameterValue + k];
        if (o_.rank == 0) {
            to = b_.given(p.name, p.shape, p.decay);
            given_parts_.push_back(base_as_float(w_[k]));
            return;
        }
        const bool product = products_.contains(static_cast<uint32_t>(k));
        to = b_.constant(p.name, p.shape,
                         product ? ConstantSource::base_int8 : ConstantSource::base_f32);
        constant_parts_.push_back(product ? base_as_int8(w_[k]) : base_as_float(w_[k]));
    }

    bool copy_constant(size_t k) {
        const Constant& c = model_.constants[k];
        if (c.source != ConstantSource::program) return false;
        std::vector<float> numbers;
        for (size_t i = 0; i + 4 <= c.data.size(); i += 4)
            numbers.push_back(std::bit_cast<float>(load_le<uint32_t>(c.data.data() + i)));
        values_[first_constant_value(model_) + k] = b_.constant(c.name, c.shape, numbers);
        return true;
    }

    void copy_node(const Node& node) {
        std::vector<Ref> in;
        for (const uint32_t v : node.inputs) in.push_back(values_[v]);
        Ref y = b_.emit(node.op, in, node.attributes);
        if (o_.rank > 0 && node.op == Op::linear && in[1].kind == Ref::Kind::constant)
            y = add_update(node, y, in[0]);
        values_.push_back(y);
        for (size_t i = 1; i < node.outputs.size(); ++i) values_.push_back({});
    }

    Ref add_update(const Node& node, Ref y, Ref x) {
        const Parameter& p = model_.parameters[node.inputs[1] - kFirstParameterValue];
        const std::string at = "lora." + std::to_string(updates_++);
        const Ref a = b_.normal(at + ".a", Shape::matrix(p.shape.rows, o_.rank), false,
                                1.0 / std::sqrt(static_cast<double>(p.shape.rows)));
        const Ref b = b_.zeros(at + ".b", Shape::matrix(o_.rank, p.shape.cols));
        const Ref update = b_.linear(b_.linear(x, a), b);
        return b_.emit(Op::add, {y, b_.scale(update, static_cast<float>(o_.alpha / o_.rank))});
    }

    const Program& model_;
    const std::vector<Tensor>& w_;
    const FinetuneOptions& o_;
    GraphBuilder b_;
    std::vector<Ref> values_;  ///< of the model, by number
    std::set<uint32_t> products_;
    std::vector<Bytes> constant_parts_, given_parts_;
    uint32_t updates_ = 0;
};

}  // namespace

Result<Finetune, ProgramFault> make_finetune(const Program& model, const std::vector<Tensor>& w,
                                             const FinetuneOptions& options) {
    if (options.rank > 1024 || options.run.steps > ProgramLimits::steps_max)
        return unexpected(
            ProgramFault{ProgramError::too_large, -1, "rank at most 1,024, and 2^20 steps"});
    if (w.size() != model.parameters.size())
        return unexpected(ProgramFault{ProgramError::bad_parameter, -1, "the weights do not fit"});
    return Copier(model, w, options).run();
}

Result<Program, ProgramFault> bind_data(Finetune finetune, const DataSpec& data,
                                        const FinetuneOptions& options) {
    Program& program = finetune.program;
    const DataSpec before = program.data;
    program.data = data;
    if (data.kind != DataKind::images) {
        program.data.sequence = options.sequence == 0 ? before.sequence : options.sequence;
        program.data.stride = program.data.sequence;
    }
    RunOptions run = options.run;
    set_run(program, run);
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    return std::move(program);
}

}  // namespace trainyard::training
