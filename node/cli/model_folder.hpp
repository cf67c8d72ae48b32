// SPDX-License-Identifier: Apache-2.0
// A trained model as a Hugging Face folder, with what links it to the chain.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/uint256.hpp"
#include "training/engine.hpp"
#include "training/report.hpp"

namespace trainyard::node::cli {

/// Where the model comes from; absent fields are those of a run without a chain.
struct ModelOrigin {
    std::string name = "trainyard-model";
    std::string licence = "unknown";
    float train_loss = 0;
    std::optional<float> held_out_loss;  ///< absent where the program holds no records out
    std::optional<uint64_t> chain_id, job;
    std::optional<Uint256> token;  ///< id
    std::vector<std::pair<std::string, std::string>> facts;
};

/// Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json,
/// generation_config.json, README.md, trainyard.program and trainyard.json (the leaves of the state
/// root besides those of the weights); constants.safetensors if the program has constants that do
/// not stand in itself. The error is text for the user.
[[nodiscard]] Result<Done, std::string> write_model_folder(const std::string& folder,
                                                           const training::Program& program,
                                                           const training::ModelState& state,
                                                           const ModelOrigin& origin,
                                                           std::vector<training::Tensor> constants);

struct ModelFolder {
    training::Program program;
    std::vector<training::Tensor> w;
    std::vector<training::Tensor> constants;
};
[[nodiscard]] Result<ModelFolder, std::string> read_model_folder(const std::string& folder);

/// What trainyard.json says.
struct ModelProof {
    std::optional<uint64_t> chain_id, job;
    std::optional<Uint256> token;
    Hash program_id, state_root;
    std::vector<Hash> other_leaves;  ///< of m, v and the scalars
};
[[nodiscard]] Result<ModelProof, std::string> read_model_proof(const std::string& folder);
/// The state root from the weights in the file and the other leaves.
[[nodiscard]] Hash recomputed_root(const ModelFolder& model, const ModelProof& proof);

}  // namespace trainyard::node::cli
