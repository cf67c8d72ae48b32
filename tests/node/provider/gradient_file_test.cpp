// SPDX-License-Identifier: Apache-2.0
// Logs of gradients on disks that are in order, slow, full or damaged.
#include "node/provider/gradient_file.hpp"

#include <csignal>
#include <filesystem>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/provider/job_folder.hpp"
#include "node/wallet/files.hpp"
#include "tests/training/small_program.hpp"
#include "training/segment.hpp"

namespace trainyard::node::provider {
namespace {

using namespace trainyard::training;

using Set = std::vector<std::vector<float>>;

const std::vector<Shape> kShapes{Shape::matrix(3, 5), Shape::vector(7)};
constexpr size_t kSetBytes = 4 * (15 + 7);

Set set_of(float first) {
    Set out{std::vector<float>(15), std::vector<float>(7)};
    for (auto& tensor : out)
        for (float& x : tensor) x = first, first += 0.5F;
    return out;
}

std::vector<std::span<const float>> elements(const Set& set) {
    return {set.begin(), set.end()};
}

bool store(GradientWriter& writer, const Set& set) {
    writer.start(elements(set));
    return writer.wait();
}

class GradientFiles : public testing::Test {
protected:
    void SetUp() override {
        folder =
            std::filesystem::temp_directory_path() / ("gradients_" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder);
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    [[nodiscard]] std::string path(const std::string& name = "gradients-0") const {
        return (folder / name).string();
    }
    void expect_set(size_t i, float first) const {
        const auto got = GradientReader(path(), kShapes).read(i);
        ASSERT_TRUE(got) << i;
        const Set due = set_of(first);
        for (size_t k = 0; k < due.size(); ++k) {
            EXPECT_EQ((*got)[k].shape, kShapes[k]);
            EXPECT_EQ(std::vector<float>((*got)[k].data), due[k]) << i;
        }
    }
    std::filesystem::path folder;
};

TEST_F(GradientFiles, give_every_set_back_as_soon_as_it_was_waited_for) {
    GradientWriter writer(path());
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(store(writer, set_of(100.0F * static_cast<float>(i))));
        for (int j = 0; j <= i; ++j)
            expect_set(static_cast<size_t>(j), 100.0F * static_cast<float>(j));
        EXPECT_EQ(GradientReader(path(), kShapes).read(static_cast<size_t>(i) + 1).error(),
                  EngineError::bad_log);
    }
    EXPECT_EQ(writer.failure(), "");
    EXPECT_EQ(std::filesystem::file_size(path()), 3 * kSetBytes);
}

TEST_F(GradientFiles, are_written_over_the_one_from_before) {
    for (const float first : {1.0F, 2.0F}) {
        GradientWriter writer(path());
        ASSERT_TRUE(store(writer, set_of(first)));
        expect_set(0, first);
        EXPECT_EQ(std::filesystem::file_size(path()), kSetBytes);
    }
}

TEST_F(GradientFiles, that_end_inside_a_set_give_the_whole_ones_before_it) {
    {
        GradientWriter writer(path());
        ASSERT_TRUE(store(writer, set_of(1)) && store(writer, set_of(2)));
    }
    std::filesystem::resize_file(path(), 2 * kSetBytes - 1);
    expect_set(0, 1);
    EXPECT_EQ(GradientReader(path(), kShapes).read(1).error(), EngineError::bad_log);
    std::filesystem::remove(path());
    EXPECT_EQ(GradientReader(path(), kShapes).read(0).error(), EngineError::bad_log);
}

TEST_F(GradientFiles, say_where_and_why_they_cannot_be_made) {
    GradientWriter writer(path("missing/gradients-0"));
    EXPECT_FALSE(store(writer, set_of(1)));
    EXPECT_EQ(writer.failure(),
              "cannot create '" + path("missing/gradients-0") + "': No such file or directory");
}

TEST_F(GradientFiles, say_that_the_disk_is_full) {
    if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
    GradientWriter writer("/dev/full");
    EXPECT_FALSE(store(writer, set_of(1)));
    EXPECT_EQ(writer.failure(), "cannot write '/dev/full': No space left on device");
    EXPECT_FALSE(store(writer, set_of(2))) << "and stay that way";
}

/// While it lives no file of this process may grow beyond `bytes`.
class FileLimit {
public:
    explicit FileLimit(rlim_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

private:
    rlimit before_ = {};
    void (*handler_)(int) = std::signal(SIGXFSZ, SIG_IGN);
};

TEST_F(GradientFiles, stop_training_at_the_next_step_when_they_cannot_grow) {
    const Program program = *make_gpt(small_options());
    const Bytes text = make_text(4000);
    const auto backend = make_cpu_backend({});
    auto engine = Engine::make(program, *backend);
    ModelState state = make_initial_state(program, seed_of(5));
    auto live = LiveState::load(*backend, program, state);
    ASSERT_TRUE(engine && live);
    size_t set_bytes = 0;
    for (const Shape& shape : parameter_shapes(program)) set_bytes += 4 * shape.count();
    GradientWriter writer(path());
    GradientSaver saver(*engine);
    saver.begin(writer);
    {
        const FileLimit limit(2 * set_bytes + set_bytes / 2);
        const auto record = run_segment(*engine, *live, text, {6, Fault::none, {}}, saver);
        ASSERT_FALSE(record);
        EXPECT_EQ(record.error(), EngineError::bad_log);
    }
    EXPECT_EQ(state.step, 4U) << "the fourth step learns that the third set does not fit";
    EXPECT_EQ(saver.finish().error(), EngineError::bad_log);
    EXPECT_EQ(writer.failure(), "cannot write '" + path() + "': File too large");
    const GradientReader reader(path(), parameter_shapes(program));
    EXPECT_TRUE(reader.read(1));
    EXPECT_FALSE(reader.read(2));
}

TEST_F(GradientFiles, let_training_go_on_while_a_slow_disk_takes_a_set) {
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    const int from = ::open(path().c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(from, 0);
    const Set large{std::vector<float>(1 << 20, 3.0F)};  // more than a pipe holds
    GradientWriter writer(path());
    writer.start(elements(large));  // returns, though nobody has read a byte
    size_t got = 0;
    std::vector<std::byte> some(1 << 16);
    while (got < 4 * large[0].size())
        if (const ssize_t n = ::read(from, some.data(), some.size()); n > 0)
            got += static_cast<size_t>(n);
    EXPECT_TRUE(writer.wait());
    ::close(from);
}

TEST_F(GradientFiles, go_with_the_segments_that_are_over) {
    const Program program = *make_gpt(small_options());
    JobFolder job(folder.string(), program);
    for (uint32_t seg = 0; seg < 4; ++seg)
        ASSERT_TRUE(wallet::write_text(job.log_path(seg), "gradients"));
    const auto left = [&] {
        std::string out;
        for (uint32_t seg = 0; seg < 4; ++seg)
            out += wallet::file_exists(job.log_path(seg)) ? 'x' : '-';
        return out;
    };
    job.forget_log(2);
    EXPECT_EQ(left(), "xx-x");
    EXPECT_EQ(job.begin_log(2), job.log_path(2));
    EXPECT_EQ(left(), "xxxx") << "the forgotten file is taken up";
    job.forget_log(2);
    job.forget_before(1);
    EXPECT_EQ(left(), "-x-x");
    EXPECT_EQ(job.begin_log(1), job.log_path(1));
    EXPECT_EQ(left(), "-x-x") << "it has a file";
    ASSERT_TRUE(wallet::write_text(folder.string() + "/record-1", "record"));
    job.forget_logs();
    EXPECT_EQ(left(), "----");
    EXPECT_TRUE(wallet::file_exists(folder.string() + "/record-1"));
}

}  // namespace
}  // namespace trainyard::node::provider
