// SPDX-License-Identifier: Apache-2.0
// Programs and data sets that commands name by path.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <boost/json/value.hpp>

#include "core/result.hpp"
#include "node/cli/commands.hpp"
#include "training/builder.hpp"
#include "training/engine.hpp"
#include "training/program.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::node::cli {

inline constexpr size_t kDataBytesMax = size_t{4} << 30;

/// A file's bytes, or those of all regular files of a folder, in name order.
[[nodiscard]] Result<Bytes, std::string> read_data(const std::string& path);

/// The template for this data set; errors name the option that does not fit.
[[nodiscard]] Result<training::Program, std::string> make_program(const TemplateArgs& args,
                                                                  const Bytes& data);
[[nodiscard]] Result<training::Program, std::string> read_program(const std::string& path);
/// Which flags of the template were given beside a program, which leaves them without effect; or
/// nothing.
[[nodiscard]] std::string flags_without_effect(const std::string& program,
                                               const TemplateArgs& args);
/// Why a tokenizer that lies beside the data must be named, or nothing.
[[nodiscard]] std::string forgotten_tokenizer(const std::string& data_path, const Bytes& data,
                                              const TemplateArgs& args);
/// From `path`, or from the template when `path` is empty. Checked against the data.
[[nodiscard]] Result<training::Program, std::string> choose_program(const std::string& path,
                                                                    const TemplateArgs& args,
                                                                    const Bytes& data);
/// The run of the template arguments, for programs that are not made from a template.
[[nodiscard]] Result<training::RunOptions, std::string> run_options(const TemplateArgs& args);
[[nodiscard]] Result<training::Tokenizer, std::string> read_tokenizer(const std::string& path);
/// Height and width of the images that a program works on: those of its convolutions, else a
/// square.
[[nodiscard]] std::pair<uint32_t, uint32_t> image_sides(const training::Program& program);

/// Mean loss over the held-out records; nothing where the program holds none out.
[[nodiscard]] Result<std::optional<float>, std::string> held_out_loss(
    const training::Program& program, training::Backend& backend,
    const std::vector<training::Tensor>& w, BytesView data);
/// ", held out 1.234567", or nothing.
[[nodiscard]] std::string held_out_words(const std::optional<float>& loss);
/// A number, or null.
[[nodiscard]] boost::json::value held_out_json(const std::optional<float>& loss);

}  // namespace trainyard::node::cli
