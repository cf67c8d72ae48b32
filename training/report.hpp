// SPDX-License-Identifier: Apache-2.0
// What a finished run shows people: the loss curve, the loss log, the Hugging Face folder's texts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "training/program.hpp"

namespace trainyard::training {

struct LossPoint {
    uint32_t step = 0;
    float loss = 0;
};

/// A self-contained SVG of the loss over the steps, for light and dark pages.
[[nodiscard]] std::string loss_svg(const std::vector<LossPoint>& points, std::string_view title);
/// "step,loss\n" lines.
[[nodiscard]] std::string loss_csv(const std::vector<LossPoint>& points);

/// Text of config.json for a program of the gpt template.
[[nodiscard]] std::string hugging_face_config(const Program& program);

struct ModelCard {
    std::string name;
    std::string licence;  ///< SPDX identifier, or "unknown"
    Hash program;
    Hash data_root;
    Hash state_root;
    float train_loss = 0;
    float held_out_loss = 0;
    std::vector<std::pair<std::string, std::string>> facts;  ///< rows of the table: name, value
};
/// Text of README.md with the metadata block that Hugging Face reads.
[[nodiscard]] std::string model_card(const ModelCard& card);

}  // namespace trainyard::training
