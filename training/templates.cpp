// SPDX-License-Identifier: Apache-2.0
// Builds the programs for images, and the tables of sines that they and others take as constants.
#include "training/templates.hpp"

#include <cmath>

#include "training/numerics/functions.hpp"

namespace trainyard::training {

namespace {

constexpr uint32_t kEpsBits = 0x3727c5ac;  // 1e-5
constexpr uint32_t kOneBits = 0x3f800000;
constexpr double kPi = 3.141592653589793;

/// sin by its Taylor series after reduction to [-pi, pi]; only + - * / and floor on doubles, so it
/// is the same everywhere.
double sine(double x) {
    x -= 2.0 * kPi * std::floor(x / (2.0 * kPi) + 0.5);
    double term = x, sum = x;
    for (int k = 1; k <= 16; ++k) {
        term = -term * x * x / ((2.0 * k) * (2.0 * k + 1.0));
        sum += term;
    }
    return sum;
}

/// The positive r with r^n = x, by halving an interval; 0 < x.
double nth_root(double x, uint32_t n) {
    double low = 0.0, high = x < 1.0 ? 1.0 : x;
    for (int i = 0; i < 200; ++i) {
        const double middle = 0.5 * (low + high);
        double power = 1.0;
        for (uint32_t k = 0; k < n && power <= 1e300; ++k) power *= middle;
        (power < x ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

ProgramFault too_large(const char* why) {
    return {ProgramError::too_large, -1, why};
}

Result<Program, ProgramFault> checked(GraphBuilder& b, const ImageOptions& o) {
    if (o.run.steps > ProgramLimits::steps_max) return unexpected(too_large("at most 2^20 steps"));
    if (o.data.kind != DataKind::images || uint64_t{o.height} * o.width != o.data.sequence)
        return unexpected(ProgramFault{ProgramError::bad_data, -1, "the data holds no images"});
    Program program;
    b.finish(program);
    program.data = o.data;
    program.data.stride = 1;
    set_run(program, o.run);
    auto valid = validate_program(program);
    if (!valid) return unexpected(valid.error());
    return program;
}

/// Layers on feature maps: a map has rows image by image, line by line, and channels as columns.
class ImageBuilder {
public:
    ImageBuilder(GraphBuilder& b, uint32_t height, uint32_t width)
        : b_(b), height_(height), width_(width) {}

    void halve() { height_ /= 2, width_ /= 2; }
    void twice() { height_ *= 2, width_ *= 2; }
    [[nodiscard]] uint32_t positions() const { return height_ * width_; }

    Ref dense(const std::string& name, Ref x, uint32_t in, uint32_t out, double gain = 2.0) {
        const Ref w = b_.normal(name + ".weight", Shape::matrix(in, out), true,
                                std::sqrt(gain / std::max(1U, in)));
        return b_.linear(x, w, b_.zeros(name + ".bias", Shape::vector(out)));
    }
    Ref conv(const std::string& name, Ref x, uint32_t in, uint32_t out, double gain = 2.0) {
        const Ref patches = b_.emit(Op::im2col, {x}, {height_, width_, 3, 1, 1});
        return dense(name, patches, 9 * in, out, gain);
    }
    Ref norm(const std::string& name, Ref x, uint32_t channels, uint32_t groups) {
        const Ref g = b_.ones(name + ".weight", channels);
        return b_.emit(Op::group_norm, {x, g, b_.zeros(name + ".bias", Shape::vector(channels))},
                       {groups, positions(), kEpsBits});
    }
    Ref silu(Ref x) { return b_.emit(Op::silu, {x}); }
    /// The mean of squares of 2 x 2; the builder then works at half the resolution.
    Ref pool(Ref x) {
        halve();
        return b_.emit(Op::downsample, {x}, {height_, width_, 2, 2, bits_of(0.25F)});
    }
    Ref grow(Ref x) {
        const Ref y = b_.emit(Op::upsample, {x}, {height_, width_, 2, 2, kOneBits});
        twice();
        return y;
    }
    /// The mean over all positions: one row per image.
    Ref mean(Ref x) {
        return b_.emit(Op::downsample, {x},
                       {1, 1, height_, width_, bits_of(1.0F / static_cast<float>(positions()))});
    }

private:
    GraphBuilder& b_;
    uint32_t height_, width_;
};

uint32_t groups_for(uint32_t channels) {
    for (uint32_t groups = 8; groups > 1; groups /= 2)
        if (channels % groups == 0) return groups;
    return 1;
}

class DiffusionBuilder {
public:
    explicit DiffusionBuilder(const DiffusionOptions& o)
        : o_(o), image_(b_, o.image.height, o.image.width) {}

    GraphBuilder& build() {
        const uint32_t c = o_.channels;
        const Ref x0 = GraphBuilder::input();
        const Ref eps = b_.emit(Op::noise, {x0}, {b_.next_noise()});
        const Ref t = b_.emit(Op::timestep, {}, {b_.next_noise(), o_.timesteps});
        const Ref schedule =
            b_.constant("schedule", Shape::matrix(o_.timesteps, 2), schedule_table());
        const Ref x = b_.emit(Op::diffuse, {x0, eps, t, schedule});
        const Ref sines = b_.constant("timesteps", Shape::matrix(o_.timesteps, kTimeColumns),
                                      rope_table(o_.timesteps, kTimeColumns, 10000.0));
        const Ref rows = b_.emit(Op::lookup, {t, sines});
        time_ = image_.silu(image_.dense("time", rows, kTimeColumns, 2 * c));
        const Ref h0 = image_.conv("conv_in", x, o_.image.data.channels, c, 1.0);
        const Ref h1 = block("down.0", h0, c, c);
        const Ref h2 = block("down.1", image_.pool(h1), c, 2 * c);
        const Ref h3 = block("middle", h2, 2 * c, 2 * c);
        const Ref up = image_.grow(b_.emit(Op::concat, {h3, h2}));
        const Ref h4 = block("up.0", b_.emit(Op::concat, {up, h1}), 5 * c, c);
        const Ref last = image_.silu(image_.norm("norm_out", h4, c, 8));
        const Ref prediction = image_.conv("conv_out", last, c, o_.image.data.channels, 0.01);
        b_.emit(Op::mean_square, {prediction, eps});
        return b_;
    }

private:
    static constexpr uint32_t kTimeColumns = 32;

    Ref block(const std::string& name, Ref x, uint32_t in, uint32_t out) {
        const Ref a = image_.silu(image_.norm(name + ".norm1", x, in, 8));
        const Ref b = image_.conv(name + ".conv1", a, in, out, 1.0);
        const Ref shift = image_.dense(name + ".time", time_, 2 * o_.channels, out, 1.0);
        const Ref c = b_.emit(Op::broadcast_add, {b, shift}, {0});
        const Ref d = image_.silu(image_.norm(name + ".norm2", c, out, 8));
        const Ref e = image_.conv(name + ".conv2", d, out, out, 0.1);
        const Ref skip = in == out ? x : image_.dense(name + ".skip", x, in, out, 1.0);
        return b_.emit(Op::add, {skip, e});
    }

    /// (sqrt(p), sqrt(1 - p)) with p the product of 1 - beta; beta grows linearly, so that the last
    /// p is the same for every number of timesteps.
    [[nodiscard]] std::vector<float> schedule_table() const {
        const double s = o_.timesteps;
        const double first = std::min(0.02, 0.1 / s), last = std::min(0.7, 20.0 / s);
        std::vector<float> out;
        double p = 1.0;
        for (uint32_t t = 0; t < o_.timesteps; ++t) {
            p *= 1.0 - (first + (last - first) * t / (s - 1.0));
            out.push_back(static_cast<float>(std::sqrt(p)));
            out.push_back(static_cast<float>(std::sqrt(1.0 - p)));
        }
        return out;
    }

    const DiffusionOptions& o_;
    GraphBuilder b_;
    ImageBuilder image_;
    Ref time_;
};

}  // namespace

std::vector<float> rope_table(uint32_t positions, uint32_t head, double base) {
    const double step = 1.0 / nth_root(base, head / 2);
    std::vector<float> out;
    for (uint32_t p = 0; p < positions; ++p)
        for (const double shift : {kPi / 2.0, 0.0}) {
            double frequency = 1.0;
            for (uint32_t i = 0; i < head / 2; ++i, frequency *= step)
                out.push_back(static_cast<float>(sine(p * frequency + shift)));
        }
    return out;
}

Result<Program, ProgramFault> make_mlp(const MlpOptions& o) {
    if (o.layers > 64 || o.hidden > ProgramLimits::dim_max)
        return unexpected(too_large("at most 64 hidden layers of 65,536 units"));
    GraphBuilder b;
    ImageBuilder image(b, o.image.height, o.image.width);
    uint32_t in = o.image.data.sequence * o.image.data.channels;
    Ref x = b.emit(Op::reshape, {GraphBuilder::input()}, {in});
    for (uint32_t l = 0; l < o.layers; ++l) {
        x = b.emit(Op::gelu, {image.dense("layers." + std::to_string(l), x, in, o.hidden)});
        in = o.hidden;
    }
    const Ref z = image.dense("head", x, in, o.image.classes, 1.0);
    b.emit(Op::cross_entropy, {z, GraphBuilder::targets()});
    return checked(b, o.image);
}

Result<Program, ProgramFault> make_cnn(const CnnOptions& o) {
    if (o.blocks > 8 || o.channels == 0 || o.channels > 1024)
        return unexpected(too_large("at most 8 blocks, the first with 1 to 1,024 channels"));
    const uint32_t unit = 1U << o.blocks;
    if (o.image.height % unit != 0 || o.image.width % unit != 0)
        return unexpected(ProgramFault{
            ProgramError::bad_shape, -1,
            "each block halves the image: height and width must be divisible by 2^blocks"});
    GraphBuilder b;
    ImageBuilder image(b, o.image.height, o.image.width);
    Ref x = GraphBuilder::input();
    uint32_t in = o.image.data.channels;
    for (uint32_t l = 0; l < o.blocks; ++l) {
        const std::string at = "blocks." + std::to_string(l);
        const uint32_t out = o.channels << l;
        const Ref y = image.conv(at + ".conv", x, in, out);
        x = image.pool(image.silu(image.norm(at + ".norm", y, out, groups_for(out))));
        in = out;
    }
    const Ref z = image.dense("head", image.mean(x), in, o.image.classes, 1.0);
    b.emit(Op::cross_entropy, {z, GraphBuilder::targets()});
    return checked(b, o.image);
}

Result<Program, ProgramFault> make_diffusion(const DiffusionOptions& o) {
    if (o.channels % 8 != 0 || o.channels == 0 || o.channels > 1024)
        return unexpected(
            ProgramFault{ProgramError::bad_shape, -1, "channels must be 8, 16, ... 1,024"});
    if (o.timesteps < 2 || o.timesteps > 4096) return unexpected(too_large("2 to 4,096 timesteps"));
    if (o.image.height % 2 != 0 || o.image.width % 2 != 0)
        return unexpected(
            ProgramFault{ProgramError::bad_shape, -1, "height and width must be even"});
    DiffusionBuilder builder(o);
    return checked(builder.build(), o.image);
}

}  // namespace trainyard::training
