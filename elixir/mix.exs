defmodule Rhizome.MixProject do
  use Mix.Project

  @version "0.1.0"
  @description "A relational graph store for the BEAM that lives outside the BEAM"

  def project do
    [
      app: :rhizome,
      version: @version,
      description: @description,
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      compilers: [:rhizome_port] ++ Mix.compilers(),
      elixirc_paths: elixirc_paths(Mix.env()),
      test_paths: ["../test/elixir"],
      deps: deps(),
      aliases: aliases(),
      package: package(),
      docs: docs()
    ]
  end

  def application do
    [
      extra_applications: [:logger],
      mod: {Rhizome.Application, []}
    ]
  end

  defp elixirc_paths(:test), do: ["lib", Path.expand("../test/elixir/support", __DIR__)]
  defp elixirc_paths(_env), do: ["lib"]

  # Nothing in this list is needed to compile, test or run. Declaring even an
  # optional dependency stops `mix compile` on a machine without Hex or with
  # nothing fetched, so the list is only there when it can be satisfied.
  # RHIZOME_DEPS=1 and RHIZOME_DEPS=0 decide it by hand.
  defp deps, do: if(optional_deps?(), do: optional_deps(), else: [])

  defp optional_deps do
    [
      {:telemetry, "~> 1.0", optional: true},
      {:ex_doc, "~> 0.30", only: :docs, runtime: false}
    ]
  end

  @hex_tasks ~w(deps.get deps.update deps.unlock hex.build hex.publish hex.outdated docs)

  defp optional_deps? do
    case System.get_env("RHIZOME_DEPS") do
      "1" ->
        true

      "0" ->
        false

      _ ->
        Code.ensure_loaded?(Hex) and
          (Mix.Project.get() not in [nil, __MODULE__] or
             File.dir?(Path.join(__DIR__, "deps/telemetry")) or
             List.first(System.argv()) in @hex_tasks)
    end
  end

  # A package holds only what lies inside the project, so the daemon's sources
  # are copied to c_src/ for the time of the build.
  defp aliases do
    [
      "hex.build": [&vendor/1, "hex.build", &unvendor/1],
      "hex.publish": [&vendor/1, "hex.publish", &unvendor/1]
    ]
  end

  @vendored "c_src"

  defp vendor(_args) do
    unvendor([])
    File.mkdir_p!(@vendored)
    File.cp!("../CMakeLists.txt", Path.join(@vendored, "CMakeLists.txt"))
    File.cp!("../LICENSE", Path.join(@vendored, "LICENSE"))
    File.cp_r!("../port_src", Path.join(@vendored, "port_src"))
  end

  defp unvendor(_args), do: File.rm_rf!(@vendored)

  defp package do
    [
      licenses: ["Apache-2.0"],
      links: %{},
      files: ~w(lib guides examples mix.exs .formatter.exs CHANGELOG.md) ++ [@vendored]
    ]
  end

  defp docs do
    [
      main: "getting_started",
      extras: [
        "guides/getting_started.md",
        "guides/snapshots.md",
        "guides/durability.md",
        "guides/graphs.md",
        "guides/import_export.md",
        "CHANGELOG.md"
      ],
      groups_for_modules: [
        "Handles and results": [
          Rhizome.Table,
          Rhizome.View,
          Rhizome.Change,
          Rhizome.Page,
          Rhizome.Condition,
          Rhizome.Error
        ],
        Graphs: [
          Rhizome.Graph,
          Rhizome.Graph.Algorithms,
          Rhizome.Graph.Projection,
          Rhizome.Graph.Result,
          Rhizome.Graph.Files
        ],
        "Versions and changes": [
          Rhizome.Snapshot,
          Rhizome.Fork,
          Rhizome.Transaction,
          Rhizome.Handle,
          Rhizome.StaleError,
          Rhizome.Subscription
        ],
        "Files of a store": [
          Rhizome.Log,
          Rhizome.Log.Record
        ]
      ]
    ]
  end
end

defmodule Mix.Tasks.Compile.RhizomePort do
  @moduledoc """
  Builds the daemon with CMake and installs it in the application's `priv`.

  `RHIZOME_PORT=/path/to/rhizome` installs that executable instead, for
  packagers and cross builds. `MAKEFLAGS` is honoured.
  """
  @shortdoc "Builds the Rhizome daemon"
  @recursive true

  # The task lives in mix.exs because a task in lib/ would not exist yet when
  # the project is compiled for the first time. The executable goes to the
  # build path and never to a priv/ at the top level: Mix would link to that
  # and leave a build product in the source tree.

  use Mix.Task.Compiler

  @manifest "compile.rhizome_port"

  @impl true
  def run(args) do
    recipe = recipe()
    fresh? = File.regular?(target()) and read_manifest() == recipe.stamp

    if fresh? and "--force" not in args do
      {:noop, []}
    else
      install(recipe)
    end
  end

  @impl true
  def manifests, do: [manifest_path()]

  @impl true
  def clean do
    File.rm(manifest_path())
    File.rm(target())
    File.rm_rf(build_path())
    :ok
  end

  # What to build and a stamp that changes whenever its outcome might.
  defp recipe do
    case System.get_env("RHIZOME_PORT", "") do
      "" ->
        root = source_root()
        %{kind: :cmake, root: root, stamp: stamp({:cmake, root}, sources(root))}

      path ->
        path = Path.expand(path)
        %{kind: :prebuilt, path: path, stamp: stamp({:prebuilt, path}, [path])}
    end
  end

  defp stamp(what, files) do
    facts =
      for file <- files do
        case File.stat(file, time: :posix) do
          {:ok, stat} -> {file, stat.mtime, stat.size}
          {:error, reason} -> {file, reason}
        end
      end

    :erlang.md5(:erlang.term_to_binary({what, facts}))
  end

  # A checkout has the sources beside the project, a package inside of it.
  defp source_root do
    project = Path.dirname(Mix.Project.project_file())
    checkout = Path.expand("..", project)

    if File.dir?(Path.join(checkout, "port_src")) do
      checkout
    else
      Path.join(project, "c_src")
    end
  end

  defp sources(root) do
    Enum.sort(
      [Path.join(root, "CMakeLists.txt")] ++
        Path.wildcard(Path.join(root, "port_src/**/*.{c,h,cmake,txt}"))
    )
  end

  defp install(%{kind: :prebuilt, path: path, stamp: stamp}) do
    if File.regular?(path) do
      Mix.shell().info("Installing #{path} as the Rhizome daemon")
      finish(path, stamp)
    else
      failed([diagnostic("RHIZOME_PORT names #{path}, which is no file", path)])
    end
  end

  defp install(%{kind: :cmake, root: root, stamp: stamp}) do
    Mix.shell().info("Building the Rhizome daemon with cmake")

    with {:ok, cmake} <- find_cmake(),
         :ok <- cmake(cmake, configure_args(root), root),
         :ok <- cmake(cmake, build_args(), root) do
      finish(Path.join(build_path(), "port_src/rhizome"), stamp)
    else
      {:error, diagnostics} -> failed(diagnostics)
    end
  end

  defp configure_args(root) do
    ["-S", root, "-B", build_path(), "-DBUILD_TESTING=OFF"] ++
      case System.get_env("CMAKE_BUILD_TYPE") do
        nil -> ["-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
        type -> ["-DCMAKE_BUILD_TYPE=#{type}"]
      end
  end

  defp build_args do
    [
      "--build",
      build_path(),
      "--target",
      "rhizome",
      "--parallel",
      "#{System.schedulers_online()}"
    ]
  end

  defp find_cmake do
    case System.find_executable("cmake") do
      nil ->
        message =
          "cmake was not found; install cmake, a C compiler and the libraries that README.md " <>
            "names, or set RHIZOME_PORT to a built executable"

        {:error, [diagnostic(message, Mix.Project.project_file())]}

      cmake ->
        {:ok, cmake}
    end
  end

  defp cmake(cmake, args, root) do
    {output, status} = System.cmd(cmake, args, stderr_to_stdout: true)

    if status == 0 do
      for line <- String.split(output, "\n"), line =~ ~r/warning: /, do: Mix.shell().error(line)
      :ok
    else
      Mix.shell().error(output)

      case compiler_diagnostics(output) do
        [] -> {:error, [diagnostic("cmake #{Enum.join(args, " ")} failed:\n" <> output, root)]}
        diagnostics -> {:error, diagnostics}
      end
    end
  end

  defp compiler_diagnostics(output) do
    for [_, file, line, severity, message] <-
          Regex.scan(~r/^(\/[^:\n]+):(\d+):(?:\d+:)? (error|warning): (.+)$/m, output) do
      %Mix.Task.Compiler.Diagnostic{
        compiler_name: "rhizome_port",
        file: file,
        position: String.to_integer(line),
        severity: String.to_existing_atom(severity),
        message: message
      }
    end
  end

  defp diagnostic(message, file) do
    %Mix.Task.Compiler.Diagnostic{
      compiler_name: "rhizome_port",
      file: file,
      position: 0,
      severity: :error,
      message: message
    }
  end

  # A running daemon keeps its old file: the new one takes the name.
  defp finish(executable, stamp) do
    File.mkdir_p!(Path.dirname(target()))
    temporary = target() <> ".new"

    case built(executable) do
      {:ok, executable} ->
        File.cp!(executable, temporary)
        File.chmod!(temporary, 0o755)
        File.rename!(temporary, target())
        File.mkdir_p!(Path.dirname(manifest_path()))
        File.write!(manifest_path(), stamp)
        {:ok, []}

      :error ->
        failed([diagnostic("the build left no executable at #{executable}", executable)])
    end
  end

  defp built(executable) do
    Enum.find_value([executable, Path.join(build_path(), "rhizome")], :error, fn path ->
      if File.regular?(path), do: {:ok, path}
    end)
  end

  defp failed(diagnostics) do
    for diagnostic <- diagnostics do
      Mix.shell().error("#{diagnostic.file}:#{diagnostic.position}: #{diagnostic.message}")
    end

    {:error, diagnostics}
  end

  defp read_manifest do
    case File.read(manifest_path()) do
      {:ok, stamp} -> stamp
      {:error, _reason} -> nil
    end
  end

  defp target, do: Path.join([Mix.Project.app_path(), "priv", "rhizome"])
  defp build_path, do: Path.join(Mix.Project.app_path(), "cmake")
  defp manifest_path, do: Path.join(Mix.Project.manifest_path(), @manifest)
end
