defmodule Rhizome.Graph.Files do
  alias Rhizome.{Client, Error, Executable, Graph, Op, Options, Table}
  alias Rhizome.Graph.Program

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

  | format | keeps | loses |
  | --- | --- | --- |
  | `:jsonl` | all elements, so that the digest is the same | what a super-vertex stands for |
  | `:neo4j`, `:graphml` | vertices that are integers or texts; labels; values of all kinds | of other vertices what they were: they become texts |
  | `:edges` | from and to that are integers or texts; labels; values that are numbers or texts | all of a vertex but that edges name it, and so those without edges; of other terms what they were: they become texts |
  | `:mtx` | edges between positive integers, and values that are numbers | all other vertices and their edges; labels, and so all but one of several edges in parallel; other values. The vertices from 1 to the greatest are all there then |
  | `:dot` | a picture | it is not read |

  No format but `:jsonl` tells an atom from a binary: labels, and names in values that are maps, come
  back as binaries, or with `words: :atoms` as atoms. What was written as something else counts as
  `:inexact`, and what was not written at all as `:left_out`, in what `Rhizome.Graph.export_file/3`
  returns.

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

  `:progress` is called behind each request with how many elements have gone to the store, and
  0, for how many there are is known at the end. If it raises, that ends the import.

  #{Options.docs(:import)}

  ## Exporting

  What is written is the graph at one moment: that of the version, or of a snapshot that is taken
  for it. The file appears when it is complete, and not at all if this process dies before. It
  returns a map of how many `:vertices` and `:edges` were written, the `:bytes` of the files, and how
  many elements are `:inexact` and `:left_out`.

  `:progress` is called each time some thousand elements have gone to the program, with how many have
  and how many there are. A format that has to know all of them first writes behind that.

  #{Options.docs(:export)}
  """

  @formats [:edges, :neo4j, :jsonl, :graphml, :mtx, :dot]

  @wrong_kept 100

  # Elements in a frame to the program.
  @frame_elements 1_000

  ## Import

  # The program knows the line of a weight that is none; the daemon does not.
  defp weight_arguments(graph) do
    case Rhizome.table_info(graph).weight do
      {:key, key} -> ["--weight", "key:" <> text(key)]
      :value -> ["--weight", "value"]
      _none -> []
    end
  end

  defp text(key), do: IO.iodata_to_binary(:io_lib.format("~w", [key]))

  @doc false
  def import_file(graph, paths, options) do
    graph = Table.check_graph!(graph)
    options = Options.validate!(options, :import)
    paths = Enum.map(List.wrap(paths), &Path.expand/1)
    format = format!(paths, options)

    if format == "dot" do
      raise ArgumentError, "the format :dot is written only, and cannot be imported"
    end

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
      executable
      |> with_program(arguments ++ weight_arguments(graph), :read, fn _program, pipe ->
        {:ok, file} = :file.open(pipe, [:read, :raw, :binary])

        try do
          read_frames(file, graph, options, %{wrong: [], done: 0})
        after
          :file.close(file)
        end
        |> abort_on_error()
      end)
      |> imported()
    end
  end

  # The store has refused something, and the rest is of no use.
  defp abort_on_error({:error, error, _state}), do: {:abort, {:error, error}}
  defp abort_on_error(result), do: result

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
      done = state.done + length(elements)
      tell(options, done, 0)
      {:ok, %{state | done: done}}
    end
  end

  defp frame({:wrong, wrong}, _graph, _options, state) do
    {:ok, %{state | wrong: Enum.take(state.wrong ++ [wrong], @wrong_kept)}}
  end

  defp frame({:imported, facts}, _graph, _options, state), do: {:ok, Map.merge(state, facts)}
  defp frame(_other, _graph, _options, state), do: {:ok, state}

  defp tell(%{progress: fun}, done, total), do: fun.(done, total)
  defp tell(_quiet, _done, _total), do: :ok

  defp imported({:error, error}), do: {:error, error}

  defp imported({{:ok, %{edges: _all_went_well} = state}, 0, _said}) do
    {:ok, Map.delete(state, :done)}
  end

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
      ["export", format, path, "--from-terms", "--json"] ++
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
    facts = %{directed: about.directed, weight: about.weight || :none}

    written =
      with_program(executable, arguments, :write, fn program, _pipe ->
        tell = &tell(options, &1, about.vertices + about.edges)

        with :ok <- write_frame(program, {:graph, :g, facts}),
             {:ok, vertices} <- write_all(program, Graph.vertex_elements(graph, call), 0, tell),
             {:ok, all} <- write_all(program, Graph.edges(graph, call), vertices, tell) do
          {:ok, %{vertices: vertices, edges: all - vertices}}
        else
          # It has ended, and says why.
          {:error, reason} -> {:ended, reason}
        end
      end)

    case written do
      {{:ok, counts}, 0, said} ->
        losses = for name <- [:inexact, :left_out], into: %{}, do: {name, fact(said, name)}
        {:ok, counts |> Map.merge(losses) |> Map.put(:bytes, bytes(path))}

      {_result, status, said} ->
        failed(status, said)
    end
  end

  defp write_all(program, elements, done, tell) do
    elements
    |> Stream.chunk_every(@frame_elements)
    |> Enum.reduce_while({:ok, done}, fn chunk, {:ok, done} ->
      case write_frame(program, chunk) do
        :ok ->
          done = done + length(chunk)
          tell.(done)
          {:cont, {:ok, done}}

        {:error, reason} ->
          {:halt, {:error, reason}}
      end
    end)
  end

  defp write_frame(program, term) do
    bytes = :erlang.term_to_binary(term)
    Program.write(program, [<<byte_size(bytes)::32>>, bytes])
  end

  # A number of the summary, which is one line of JSON.
  defp fact(said, name) do
    [digits] = Regex.run(~r/"#{name}":(\d+)/, said, capture: :all_but_first)
    String.to_integer(digits)
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

  # What `fun` returns with how the program has ended, or, of {:abort, result}, the result.
  # If it raises, the program is ended before its input is, so that it writes no file.
  defp with_program(executable, arguments, mode, fun) do
    {:ok, program, pipe} = Program.start(executable, arguments, mode)

    try do
      fun.(program, pipe)
    catch
      kind, reason ->
        Program.abort(program)
        :erlang.raise(kind, reason, __STACKTRACE__)
    else
      {:abort, result} ->
        Program.abort(program)
        result

      result ->
        {status, said} = Program.finish(program)
        {result, status, said}
    end
  end

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
