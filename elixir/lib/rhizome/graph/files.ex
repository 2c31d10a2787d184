defmodule Rhizome.Graph.Files do
  alias Rhizome.{Client, Error, Executable, Graph, Op, Options, Table}

  @moduledoc """
  Graphs in files: what `Rhizome.Graph.import_file/3` reads and `Rhizome.Graph.export_file/3`
  writes.

      iex> path = Path.join(System.tmp_dir!(), "friends-\#{System.unique_integer([:positive])}.txt")
      iex> File.write!(path, "# who knows whom\\nann bob\\nbob cid\\n")
      iex> {:ok, store} = Rhizome.start_link()
      iex> friends = Rhizome.create_table!(store, :friends, :graph)
      iex> {:ok, done} = Rhizome.Graph.import_file(friends, path, format: :edges)
      iex> done.edges
      2
      iex> Rhizome.Graph.out_neighbors(friends, "bob")
      ["cid"]
      iex> {:ok, _done} = Rhizome.Graph.export_file(friends, path <> ".jsonl")
      iex> copy = Rhizome.create_table!(store, :copy, :graph)
      iex> {:ok, _done} = Rhizome.Graph.import_file(copy, path <> ".jsonl")
      iex> Rhizome.Graph.digest(copy) == Rhizome.Graph.digest(friends)
      true

  | format | files | |
  | --- | --- | --- |
  | `:edges` | `.txt`, `.tsv`, `.csv`, `.edges` | an edge a line: from, to, and a label or a value; comments; SNAP's lists |
  | `:neo4j` | `.csv`, to be named as the format | with the headers of `neo4j-admin import`; several files |
  | `:jsonl` | `.jsonl`, `.ndjson` | a JSON object a line: all terms, exactly |
  | `:graphml` | `.graphml` | XML |
  | `:mtx` | `.mtx` | Matrix Market |
  | `:dot` | `.dot`, `.gv` | written only |

  A name that ends in `.gz` is compressed. The format is taken from the name unless it is given.

  The program that is the daemon does the reading and writing, as `rhizome import` and `rhizome
  export` do from a shell, where its help has more about formats; it streams, and the VM holds
  a few thousand elements at a time. For a store that is not running, the shell is faster
  still: it builds the graph without a daemon.

  ## Importing

  Elements go to the store in requests of a few thousand, each of them a mutation: those before an
  error stay. For all or nothing import into a fork, or a transaction.

  An element that is wrong ends it, with a `:bad_argument` that names the `:file`, the `:line` and
  the `:column` in its details. With `:max_errors` so many are left out and told instead.

  It returns a map of how many `:vertices` and `:edges` were read, the `:bytes` of the files,
  how many `:errors` there were, and the first of them as `:wrong`.

  #{Options.docs(:import)}

  ## Exporting

  What is written is the graph at one moment: that of the version, or of a snapshot that is taken
  for it. The file appears when it is complete. It returns a map of how many `:vertices` and
  `:edges` were written, and `:bytes`.

  #{Options.docs(:export)}
  """

  @formats [:edges, :neo4j, :jsonl, :graphml, :mtx, :dot]

  # What messages of the program are kept.
  @said_bytes 8_192
  @wrong_kept 100

  # Elements in a frame to the program.
  @frame_elements 1_000

  ## Import

  @doc false
  def import_file(graph, paths, options) do
    graph = Table.check_graph!(graph)
    options = Options.validate!(options, :import)
    paths = Enum.map(List.wrap(paths), &Path.expand/1)
    format = format!(paths, options)

    arguments =
      ["import", format | paths] ++
        ["--to-terms", "--graph", "g"] ++
        for(
          {name, flag} <- [
            ids: "--ids",
            words: "--words",
            delimiter: "--delimiter",
            columns: "--columns",
            header: "--header",
            max_errors: "--max-errors",
            batch: "--batch"
          ],
          value <- List.wrap(options[name]),
          argument <- [flag, to_string(value)],
          do: argument
        )

    with {:ok, executable} <- Executable.find(nil) do
      with_program(executable, arguments, :read, fn file ->
        read_frames(file, graph, options, %{wrong: []})
      end)
      |> imported()
    end
  end

  defp read_frames(file, graph, options, state) do
    with {:ok, <<size::32>>} <- :file.read(file, 4),
         {:ok, frame} when byte_size(frame) == size <- :file.read(file, size) do
      case frame(:erlang.binary_to_term(frame), graph, options, state) do
        {:ok, state} -> read_frames(file, graph, options, state)
        {:error, error} -> {:error, error, state}
      end
    else
      # What it has to say about that comes with its exit status.
      _end -> {:ok, state}
    end
  end

  defp frame({put, _graph, elements}, graph, options, state)
       when put in [:put_vertices, :put_edges] do
    op = {put, graph.name, elements}

    with {:ok, answer} <- Client.request(graph.store, op, options[:timeout]) do
      %Rhizome.Change{} = Op.result(op, answer)
      {:ok, state}
    end
  end

  defp frame({:wrong, wrong}, _graph, _options, state) do
    {:ok, %{state | wrong: Enum.take(state.wrong ++ [wrong], @wrong_kept)}}
  end

  defp frame({:imported, facts}, _graph, _options, state), do: {:ok, Map.merge(state, facts)}
  defp frame(_other, _graph, _options, state), do: {:ok, state}

  defp imported({{:ok, %{edges: _all_went_well} = state}, 0, _said}), do: {:ok, state}
  defp imported({{:error, error, _state}, _status, _said}), do: {:error, error}

  defp imported({{:ok, %{wrong: wrong}}, 65, said}) do
    {:error, Error.new(:bad_argument, last_line(said), List.last(wrong) || %{})}
  end

  defp imported({{:ok, _state}, status, said}), do: failed(status, said)

  ## Export

  @doc false
  def export_file(graph, path, options) do
    %Table{store: store} = graph = Table.check_graph!(graph)
    options = Options.validate!(options, :export)
    path = Path.expand(path)
    format = format!([path], options)

    arguments =
      ["export", format, path, "--from-terms"] ++
        for {name, flag} <- [delimiter: "--delimiter", limit: "--limit"],
            value <- List.wrap(options[name]),
            argument <- [flag, to_string(value)],
            do: argument

    with {:ok, executable} <- Executable.find(nil) do
      case options do
        %{at: version} ->
          export(Rhizome.on(graph, version), executable, arguments, path, options)

        _head when is_struct(store) ->
          export(graph, executable, arguments, path, options)

        _head ->
          Rhizome.with_snapshot(
            store,
            &export(Rhizome.on(graph, &1), executable, arguments, path, options)
          )
      end
    end
  rescue
    error in Error -> {:error, error}
  end

  defp export(graph, executable, arguments, path, options) do
    call = Map.to_list(Map.take(options, [:timeout]))
    about = Rhizome.table_info(graph, call)

    written =
      with_program(executable, arguments, :write, fn file ->
        with :ok <- write_frame(file, {:graph, :g, %{directed: about.directed}}),
             {:ok, vertices} <- write_all(file, Graph.vertex_elements(graph, call)),
             {:ok, edges} <- write_all(file, Graph.edges(graph, call)) do
          {:ok, %{vertices: vertices, edges: edges}}
        else
          # It has ended, and says why.
          {:error, reason} -> {:ended, reason}
        end
      end)

    case written do
      {{:ok, counts}, 0, _said} -> {:ok, Map.put(counts, :bytes, bytes(path))}
      {_result, status, said} -> failed(status, said)
    end
  end

  defp write_all(file, elements) do
    elements
    |> Stream.chunk_every(@frame_elements)
    |> Enum.reduce_while({:ok, 0}, fn chunk, {:ok, count} ->
      case write_frame(file, chunk) do
        :ok -> {:cont, {:ok, count + length(chunk)}}
        {:error, reason} -> {:halt, {:error, reason}}
      end
    end)
  end

  defp write_frame(file, term) do
    bytes = :erlang.term_to_binary(term)
    :file.write(file, [<<byte_size(bytes)::32>>, bytes])
  end

  # Of a directory, that of the files in it.
  defp bytes(path) do
    case File.stat!(path) do
      %{type: :directory} ->
        Enum.sum(for name <- File.ls!(path), do: File.stat!(Path.join(path, name)).size)

      %{size: size} ->
        size
    end
  end

  ## The program

  # Frames go through a pipe with a name, and not through the port: so the program waits
  # for us where we are slower, and we for it, and its stdin has an end.
  defp with_program(executable, arguments, mode, fun) do
    directory = Path.join(System.tmp_dir!(), "rhizome-#{System.pid()}-#{unique()}")
    File.mkdir_p!(directory)
    pipe = Path.join(directory, "pipe")

    try do
      {_output, 0} = System.cmd("mkfifo", ["-m", "600", pipe])
      redirection = if mode == :read, do: ~S(>"$0" 2>&3), else: ~S(<"$0" 2>&3)

      port =
        Port.open({:spawn_executable, "/bin/sh"}, [
          :binary,
          :exit_status,
          :hide,
          args: ["-c", ~s(exec 3>&1; exec "$@" #{redirection}), pipe, executable | arguments]
        ])

      {:ok, file} = :file.open(pipe, [mode, :raw, :binary])

      result =
        try do
          fun.(file)
        after
          :file.close(file)
        end

      {status, said} = await_end(port, "")
      {result, status, said}
    after
      File.rm_rf!(directory)
    end
  end

  defp unique, do: System.unique_integer([:positive])

  defp await_end(port, said) do
    receive do
      {^port, {:data, bytes}} -> await_end(port, keep(said <> bytes))
      {^port, {:exit_status, status}} -> {status, said}
    end
  end

  defp keep(said) when byte_size(said) <= @said_bytes, do: said
  defp keep(said), do: binary_part(said, byte_size(said), -@said_bytes)

  defp failed(status, said) do
    code = if status == 74, do: :io, else: :bad_argument
    {:error, Error.new(code, last_line(said), %{status: status})}
  end

  defp last_line(said) do
    case said |> String.split(["\n", "\r"], trim: true) |> List.last() do
      nil -> nil
      line -> String.replace_prefix(line, "rhizome: ", "")
    end
  end

  ## Formats

  defp format!(_paths, %{format: format}), do: Atom.to_string(format)

  defp format!([path | _more], _options) do
    extension = path |> String.trim_trailing(".gz") |> Path.extname()

    case extension do
      extension when extension in [".txt", ".tsv", ".csv", ".edges"] -> "edges"
      extension when extension in [".jsonl", ".ndjson"] -> "jsonl"
      ".graphml" -> "graphml"
      ".mtx" -> "mtx"
      extension when extension in [".dot", ".gv"] -> "dot"
      _other -> raise ArgumentError, "give the :format of #{path}, one of #{inspect(@formats)}"
    end
  end

  defp format!([], _options), do: raise(ArgumentError, "there is no file to import")
end
