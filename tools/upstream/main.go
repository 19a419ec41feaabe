// Reads the configuration types of Prometheus and Alertmanager, and writes what the collection needs to know of them: every
// key, what it holds, and which ones are secrets. Run by `make upstream`; the versions stand in tools/upstream/versions.json.
//
// The types are read as source, since to compile them takes half an hour.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
)

// The documents of each program: name -> package and type of its root.
var programs = map[string]struct {
	module    string
	documents map[string][2]string
}{
	"prometheus": {"github.com/prometheus/prometheus", map[string][2]string{
		"config": {"github.com/prometheus/prometheus/config", "Config"},
		"rules":  {"github.com/prometheus/prometheus/model/rulefmt", "RuleGroups"},
		"web":    {"github.com/prometheus/exporter-toolkit/web", "Config"},
	}},
	"alertmanager": {"github.com/prometheus/alertmanager", map[string][2]string{
		"config": {"github.com/prometheus/alertmanager/config", "Config"},
		"web":    {"github.com/prometheus/exporter-toolkit/web", "Config"},
	}},
}

// What has types of its own that the documents use. Those of every other module are read as one value.
var companions = []string{"github.com/prometheus/common", "github.com/prometheus/exporter-toolkit", "github.com/prometheus/sigv4"}

// Well-known types that are written as one word.
var words = map[string]string{
	"time.Duration": "duration", "model.Duration": "duration", "units.Base2Bytes": "size",
	"url.URL": "url", "time.Location": "string", "labels.Labels": "{}string", "yaml.Node": "any",
	"big.Int": "int", "model.LabelSet": "{}string", "resource.Quantity": "string",
}

type pack struct {
	types   map[string]ast.Expr
	imports map[string]map[string]string // per type: name -> path of the import in its file
	own     map[string]bool              // types with an UnmarshalYAML or UnmarshalText of their own
	names   map[string]string            // type -> what its method Name returns
	dirs    string
}

type reader struct {
	modules map[string]string // path of a module -> its directory
	packs   map[string]*pack
	types   map[string]map[string]string
	chosen  map[string]string // package and type -> name in the output
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: upstream VERSIONS.json DIRECTORY")
	}
	versions := map[string]string{}
	text, err := os.ReadFile(os.Args[1])
	must(err)
	must(json.Unmarshal(text, &versions))
	for name, program := range programs {
		r := &reader{map[string]string{}, map[string]*pack{}, map[string]map[string]string{}, map[string]string{}}
		goMod := r.download(program.module, versions[name])
		for _, companion := range companions {
			if version := required(goMod, companion); version != "" {
				r.download(companion, version)
			}
		}
		roots := map[string]string{}
		// In the same order each time: the first type of a name has it alone.
		for _, document := range []string{"config", "rules", "web"} {
			if at, there := program.documents[document]; there {
				roots[document] = strings.TrimPrefix(r.named(at[0], at[1]), "@")
			}
		}
		write(filepath.Join(os.Args[2], name+".json"), map[string]any{
			"module": program.module + "@" + versions[name], "roots": roots, "types": r.types,
		})
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// One type a line: what changed upstream can be read in a diff.
func write(file string, data map[string]any) {
	var out bytes.Buffer
	types := data["types"].(map[string]map[string]string)
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	sort.Strings(names)
	line := func(value any) string {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		must(encoder.Encode(value))
		return strings.TrimSpace(text.String())
	}
	fmt.Fprintf(&out, "{\n\"module\": %s,\n\"roots\": %s,\n\"types\": {\n", line(data["module"]), line(data["roots"]))
	for i, name := range names {
		end := ","
		if i == len(names)-1 {
			end = ""
		}
		fmt.Fprintf(&out, "%s: %s%s\n", line(name), line(types[name]), end)
	}
	out.WriteString("}\n}\n")
	must(os.WriteFile(file, out.Bytes(), 0o644))
}

func (r *reader) download(module, version string) string {
	command := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	command.Dir = os.TempDir()
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := command.Output()
	found := struct{ Dir, GoMod, Error string }{}
	if json.Unmarshal(out, &found) != nil || found.Error != "" || err != nil {
		log.Fatalf("%s@%s cannot be had: %s %v", module, version, found.Error, err)
	}
	r.modules[module] = found.Dir
	return found.GoMod
}

func required(goMod, module string) string {
	text, err := os.ReadFile(goMod)
	must(err)
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) >= 2 && words[0] == module {
			return words[1]
		}
	}
	return ""
}

// The directory of a package, or nothing where its module is not among those that are read.
func (r *reader) directory(importPath string) string {
	for module, directory := range r.modules {
		if importPath == module || strings.HasPrefix(importPath, module+"/") {
			return filepath.Join(directory, strings.TrimPrefix(importPath, module))
		}
	}
	return ""
}

func (r *reader) pack(importPath string) *pack {
	if known, there := r.packs[importPath]; there {
		return known
	}
	directory := r.directory(importPath)
	if directory == "" {
		r.packs[importPath] = nil
		return nil
	}
	found := &pack{map[string]ast.Expr{}, map[string]map[string]string{}, map[string]bool{}, map[string]string{}, directory}
	r.packs[importPath] = found
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	must(err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_windows.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(err)
		imports := map[string]string{}
		for _, one := range tree.Imports {
			at := strings.Trim(one.Path.Value, `"`)
			name := path.Base(at)
			if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
				name = path.Base(path.Dir(at))
			}
			if one.Name != nil {
				name = one.Name.Name
			}
			imports[name] = at
		}
		constants := map[string]string{}
		for _, declared := range tree.Decls {
			switch declared := declared.(type) {
			case *ast.GenDecl:
				for _, spec := range declared.Specs {
					if named, ok := spec.(*ast.TypeSpec); ok {
						found.types[named.Name.Name], found.imports[named.Name.Name] = named.Type, imports
					}
					if value, ok := spec.(*ast.ValueSpec); ok && len(value.Values) == 1 {
						if text, ok := value.Values[0].(*ast.BasicLit); ok {
							constants[value.Names[0].Name] = strings.Trim(text.Value, `"`)
						}
					}
				}
			case *ast.FuncDecl:
				if declared.Recv == nil || declared.Body == nil {
					continue
				}
				owner := bare(declared.Recv.List[0].Type)
				if name := declared.Name.Name; name == "UnmarshalYAML" || name == "UnmarshalText" {
					found.own[owner] = true
				} else if name == "Name" && len(declared.Body.List) == 1 {
					if back, ok := declared.Body.List[0].(*ast.ReturnStmt); ok {
						switch value := back.Results[0].(type) {
						case *ast.BasicLit:
							found.names[owner] = strings.Trim(value.Value, `"`)
						case *ast.Ident:
							found.names[owner] = constants[value.Name]
						}
					}
				}
			}
		}
	}
	return found
}

func bare(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return bare(expr.X)
	case *ast.IndexExpr:
		return bare(expr.X)
	case *ast.Ident:
		return expr.Name
	}
	return ""
}

// What a type holds: a word, "[]" or "{}" and what is in it, or "@" and the name of a structure.
func (r *reader) kind(expr ast.Expr, in string, imports map[string]string) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return r.kind(expr.X, in, imports)
	case *ast.ArrayType:
		if inner := r.kind(expr.Elt, in, imports); inner != "byte" {
			return "[]" + inner
		}
		return "string"
	case *ast.MapType:
		return "{}" + r.kind(expr.Value, in, imports)
	case *ast.SelectorExpr:
		name := expr.X.(*ast.Ident).Name
		if word, there := words[path.Base(imports[name])+"."+expr.Sel.Name]; there {
			return word
		}
		return r.named(imports[name], expr.Sel.Name)
	case *ast.Ident:
		switch expr.Name {
		case "string", "bool", "byte", "any":
			return expr.Name
		case "float64", "float32":
			return "float"
		case "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64":
			return "int"
		}
		return r.named(in, expr.Name)
	case *ast.StructType:
		return "any"
	case *ast.IndexExpr:
		return r.kind(expr.X, in, imports)
	}
	return "any"
}

func (r *reader) named(in, name string) string {
	if word, there := words[path.Base(in)+"."+name]; there {
		return word
	}
	if strings.Contains(name, "Secret") && !strings.Contains(name, "Ref") {
		if strings.HasSuffix(name, "URL") {
			return "secret url"
		}
		return "secret"
	}
	found := r.pack(in)
	if found == nil || found.types[name] == nil {
		return "string"
	}
	structure, ok := found.types[name].(*ast.StructType)
	if !ok {
		inner := r.kind(found.types[name], in, found.imports[name])
		// It reads a word of its own, such as a percentage.
		if found.own[name] && !strings.HasPrefix(inner, "[]") && !strings.HasPrefix(inner, "{}") && !strings.HasPrefix(inner, "@") {
			return "string"
		}
		return inner
	}
	if known, there := r.chosen[in+"."+name]; there {
		return known
	}
	if found.own[name] && !tagged(structure) {
		r.chosen[in+"."+name] = map[bool]string{true: "url", false: "string"}[name == "URL"]
		return r.chosen[in+"."+name]
	}
	label := path.Base(in) + "." + name
	for other := range r.types {
		if other == label {
			label = path.Base(path.Dir(in)) + "/" + label
		}
	}
	r.chosen[in+"."+name] = "@" + label
	r.types[label] = map[string]string{}
	r.fields(structure, in, found.imports[name], r.types[label])
	if len(r.types[label]) == 0 {
		delete(r.types, label)
		r.chosen[in+"."+name] = "string"
	}
	return r.chosen[in+"."+name]
}

// Whether a structure says which keys it has; one that does not is read from a word.
func tagged(structure *ast.StructType) bool {
	for _, field := range structure.Fields.List {
		if field.Tag != nil && reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("yaml") != "" {
			return true
		}
	}
	return false
}

func (r *reader) fields(structure *ast.StructType, in string, imports map[string]string, into map[string]string) {
	for _, field := range structure.Fields.List {
		tag := ""
		if field.Tag != nil {
			tag = reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("yaml")
		}
		key, options, _ := strings.Cut(tag, ",")
		if strings.Contains(options, "inline") {
			kind := r.kind(field.Type, in, imports)
			if inner, ok := r.types[strings.TrimPrefix(kind, "@")]; ok {
				for name, value := range inner {
					into[name] = value
				}
			} else if strings.HasPrefix(kind, "{}") {
				into["*"] = kind[2:]
			}
			continue
		}
		if key == "-" {
			if selector, ok := field.Type.(*ast.SelectorExpr); ok && selector.Sel.Name == "Configs" {
				r.discovery(into)
			}
			continue
		}
		if tag == "" {
			if len(field.Names) == 0 || !field.Names[0].IsExported() {
				continue
			}
			key = strings.ToLower(field.Names[0].Name)
		}
		if key != "" {
			into[key] = r.kind(field.Type, in, imports)
		}
	}
}

// The service discoveries register themselves, each by its name.
func (r *reader) discovery(into map[string]string) {
	const root = "github.com/prometheus/prometheus/discovery"
	into["static_configs"] = "[]" + r.named(root+"/targetgroup", "Group")
	must(filepath.WalkDir(r.directory(root), func(directory string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(r.directory(root), directory)
		must(err)
		at := path.Join(root, filepath.ToSlash(inside))
		found := r.pack(at)
		for owner, name := range found.names {
			if strings.HasSuffix(owner, "Config") && name != "" && name != "static" {
				into[name+"_sd_configs"] = "[]" + r.named(at, owner)
			}
		}
		return nil
	}))
}
